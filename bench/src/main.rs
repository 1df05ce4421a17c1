//! The binary: see the library of the same package.

fn main() -> std::process::ExitCode {
    keyflip_bench::cli::main()
}
