//! Decimal numbers as RFC 4568 writes them, without leading zeros: those that fit a word, and MKIs of up to 128 octets.

/// Whether `text` is a decimal number without leading zeros.
fn is_decimal(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// Reads a number.
pub(super) fn number(text: &str) -> Option<u64> {
    if is_decimal(text) { text.parse().ok() } else { None }
}

/// Reads a number into `len` octets, most significant first. `None` if it does not fit.
pub(super) fn read(text: &str, len: usize) -> Option<Vec<u8>> {
    // An octet is three digits at most.
    if !is_decimal(text) || text.len() > 3 * len {
        return None;
    }
    let mut octets = vec![0; len];
    for digit in text.bytes() {
        let mut carry = u16::from(digit - b'0');
        for octet in octets.iter_mut().rev() {
            carry += u16::from(*octet) * 10;
            let [high, low] = carry.to_be_bytes();
            *octet = low;
            carry = u16::from(high);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(octets)
}

/// Writes the number in `octets`, most significant first.
pub(super) fn write(octets: &[u8]) -> String {
    let mut rest = octets.to_vec();
    let mut digits = Vec::new();
    while digits.is_empty() || rest.iter().any(|octet| *octet != 0) {
        let mut remainder = 0;
        for octet in &mut rest {
            let value = u16::from_be_bytes([remainder, *octet]);
            // The remainder is below 10, so the quotient is an octet.
            [_, *octet] = (value / 10).to_be_bytes();
            [_, remainder] = (value % 10).to_be_bytes();
        }
        digits.push(char::from(b'0' + remainder));
    }
    digits.iter().rev().collect()
}
