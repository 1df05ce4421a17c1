//! The control before every measurement: all implementations turn the same packets into the same octets.

use anyhow::{Result, bail, ensure};

/// Checks that `outputs` are what `expected` says, but for the octets that are left out at the beginning of each.
///
/// # Errors
///
/// The first packet that differs, and where.
pub(crate) fn check(
    reference: &str,
    expected: &[Vec<u8>],
    name: &str,
    outputs: &[Vec<u8>],
    leaves_out: usize,
) -> Result<()> {
    ensure!(
        expected.len() == outputs.len(),
        "{name} returned {} packets, {reference} has {}",
        outputs.len(),
        expected.len()
    );
    for (number, (expected, output)) in expected.iter().zip(outputs).enumerate() {
        let expected = expected.get(leaves_out..).unwrap_or_default();
        if let Some(at) = expected.iter().zip(output).position(|(a, b)| a != b) {
            bail!("{name} does not do what the others do: packet {number} differs from {reference} at octet {at}");
        }
        ensure!(
            expected.len() == output.len(),
            "{name} does not do what the others do: packet {number} has {} octets, {reference} has {}",
            output.len(),
            expected.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_packets_agree_and_any_difference_is_named() {
        let packets = vec![vec![1, 2, 3], vec![4, 5]];
        let check = |outputs: &[Vec<u8>], left| check("a", &packets, "b", outputs, left).map_err(|e| e.to_string());
        assert_eq!(check(&packets, 0), Ok(()));
        assert_eq!(check(&[vec![2, 3], vec![5]], 1), Ok(()));
        assert!(check(&[vec![1, 2, 3], vec![4, 6]], 0).unwrap_err().contains("packet 1 differs from a at octet 1"));
        assert!(check(&[vec![1, 2, 3], vec![4]], 0).unwrap_err().contains("packet 1 has 1 octets"));
        assert!(check(&packets[..1], 0).unwrap_err().contains("1 packets"));
    }
}
