//! How a client of MySQL proves that it knows a password, without sending it.

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// For `mysql_native_password`: SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))).
pub(super) fn native(password: &str, scramble: &[u8]) -> Vec<u8> {
    let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &once);
    xor(&once, &hash(&SHA1_FOR_LEGACY_USE_ONLY, &[scramble, &twice].concat()))
}

/// For `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble).
pub(super) fn caching_sha2(password: &str, scramble: &[u8]) -> Vec<u8> {
    let once = hash(&SHA256, password.as_bytes());
    let twice = hash(&SHA256, &once);
    xor(&once, &hash(&SHA256, &[&twice, scramble].concat()))
}

fn hash(algorithm: &'static Algorithm, bytes: &[u8]) -> Vec<u8> {
    digest(algorithm, bytes).as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// Computed with Python's hashlib by the formulas of the documentation.
    #[test]
    fn proofs_are_what_servers_expect() {
        let scramble = b"abcdefghijklmnopqrst";
        assert_eq!(HEXLOWER.encode(&native("hunter2", scramble)), "fb30830c3ec1c2161c75ef8c45977d684a38d8d4");
        assert_eq!(
            HEXLOWER.encode(&caching_sha2("hunter2", scramble)),
            "38c32b38723affcda57b368b565bac628d5a852428b402c25c4ae036a4fd904f"
        );
    }
}
