//! Which host this is, so that a collector notices when another one answers under its address.
//!
//! The machine's own id is not shown: whoever knows it knows what else is derived from it (machine-id(5)). What is shown is
//! derived from it as systemd does, so that `systemd-id128 machine-id --app-specific=…` with our name says the same.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::root::Root;

/// Where machine-id(5) says that it is.
const MACHINE_ID: &str = "/etc/machine-id";
/// Our name among all that derive an id from the machine's: `9f1c6d0e4b7a4f35a2d85e90c37b1f64`. Another one would make
/// every host another host.
const APPLICATION: u128 = 0x9f1c_6d0e_4b7a_4f35_a2d8_5e90_c37b_1f64;
const BYTES: usize = 16;

/// The host's identity as 32 hexadecimal digits: the same after a restart and under another address, another one after an
/// installation. `None` when the host has no machine id, as some containers.
pub fn id(root: &Root) -> Option<String> {
    let machine = machine_id(&root.bytes(MACHINE_ID).ok()?)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &machine.to_be_bytes());
    let digest = hmac::sign(&key, &APPLICATION.to_be_bytes());
    let mut id = *digest.as_ref().first_chunk::<BYTES>()?;
    // The marks of a random UUID (RFC 9562, section 5.4), which systemd sets.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Some(id.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The machine's id; `None` for `uninitialized`, an empty file, and zeros, which are the id of nobody.
fn machine_id(file: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(file.trim_ascii()).ok()?;
    let is_id = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|id| is_id && *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(machine_id: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join("etc/machine-id"), machine_id).unwrap();
        id(&Root::new(directory.path()))
    }

    #[test]
    fn it_is_what_systemd_derives() {
        let known = "7a5160781fbe4e8394769e45f7cb3131";
        assert_eq!(of("0123456789abcdef0123456789abcdef\n").as_deref(), Some(known));
        assert_ne!(of("0123456789abcdef0123456789abcdee\n").unwrap(), known);
    }

    #[test]
    fn a_host_without_an_id_has_none() {
        for text in
            ["", "uninitialized\n", "00000000000000000000000000000000\n", "+123456789abcdef0123456789abcdef", "0123"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(id(&Root::new("/does/not/exist")), None);
    }
}
