//! Shows inputs of a target as it understands them, and runs them: `cargo run --no-default-features --example replay -- TARGET FILE...`

use keyflip_fuzz::Target;
use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let target = arguments.next().and_then(|name| Target::named(&name)).ok_or("usage: replay TARGET FILE...")?;
    for path in arguments {
        let data = fs::read(&path)?;
        println!("{path}: {}", target.show(&data));
        target.run(&data);
    }
    Ok(())
}
