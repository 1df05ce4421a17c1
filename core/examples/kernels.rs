//! Lists the sets of kernels that this processor has, by the names that `KEYFLIP_KERNELS` takes in tests.

use keyflip::Kernels;

fn main() {
    for kernels in Kernels::ALL.into_iter().filter(|kernels| kernels.is_available()) {
        println!("{kernels}");
    }
}
