//! Size and free space of file systems on block devices.
//!
//! A subset of what node_exporter's `filesystem` collector shows, with its exclusions of mount points
//! and types. Network and user-space file systems are left out on purpose: asking a dead NFS server
//! for its size blocks for minutes, and with it the whole page.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

/// Mounts as PID 1 sees them, else as this process sees them: a hardened unit lives in a mount
/// namespace of its own, but may not be allowed to look into that of PID 1.
const FILES: [&str; 2] = ["/proc/1/mounts", "/proc/self/mounts"];

/// Most file systems shown; those mounted last give way.
const MAX_FILESYSTEMS: usize = 16;

/// node_exporter's default `--collector.filesystem.mount-points-exclude`, as prefixes.
const EXCLUDED_MOUNT_POINTS: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/mnt", "/media"];

/// The rest of that option: only what lies below these.
const EXCLUDED_BELOW: [&str; 2] = ["/var/lib/docker/", "/var/lib/containers/storage/"];

/// Types on a `/dev/` device that hold nothing to fill up: images and the like.
const EXCLUDED_TYPES: [&str; 4] = ["iso9660", "squashfs", "overlay", "devtmpfs"];

/// A mounted file system, with the escapes of the mounts file undone.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted, e.g. `/dev/vda1`.
    pub device: Vec<u8>,
    /// Where.
    pub mount_point: Vec<u8>,
    /// Its type, e.g. `ext4`.
    pub fs_type: Vec<u8>,
}

/// Reads the mounts, asks each file system for its size and writes the families. A file system that
/// does not answer is left out.
///
/// # Errors
/// The list of mounts cannot be read.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    let bytes = root.bytes(FILES[0]).or_else(|_| root.bytes(FILES[1]))?;
    let mut measured = Vec::new();
    for mount in parse(&bytes) {
        let path = root.path(Path::new(OsStr::from_bytes(&mount.mount_point)));
        let Ok(sizes) = rustix::fs::statvfs(&path) else { continue };
        // Block counts are in units of the fragment size, statvfs(3).
        let bytes = |blocks: u64| blocks.saturating_mul(sizes.f_frsize);
        measured.push((Labels::from(&mount), bytes(sizes.f_blocks), bytes(sizes.f_bavail)));
    }
    render(&measured, page);
    Ok(())
}

struct Labels([(&'static str, String); 3]);

impl From<&Mount> for Labels {
    fn from(mount: &Mount) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self([
            ("device", text(&mount.device)),
            ("fstype", text(&mount.fs_type)),
            ("mountpoint", text(&mount.mount_point)),
        ])
    }
}

impl Labels {
    fn pairs(&self) -> [(&str, &str); 3] {
        self.0.each_ref().map(|(name, value)| (*name, value.as_str()))
    }
}

fn render(measured: &[(Labels, u64, u64)], page: &mut Page) {
    let mut family = page.family("node_filesystem_size_bytes", Kind::Gauge, "Size of the file system.");
    for (labels, size, _) in measured {
        family.sample(&labels.pairs(), *size);
    }
    let mut family =
        page.family("node_filesystem_avail_bytes", Kind::Gauge, "Space that unprivileged users can still fill.");
    for (labels, _, avail) in measured {
        family.sample(&labels.pairs(), *avail);
    }
}

/// The mounts worth showing: on a block device (or ZFS, which names pools), not excluded, and each
/// device once, where it was mounted first: bind mounts would repeat the same numbers.
pub fn parse(mounts: &[u8]) -> Vec<Mount> {
    let mut shown: Vec<Mount> = Vec::new();
    for line in mounts.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ').map(unescape);
        let (Some(device), Some(mount_point), Some(fs_type)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let mount = Mount { device, mount_point, fs_type };
        if is_shown(&mount) && !shown.iter().any(|other| other.device == mount.device) {
            shown.push(mount);
        }
        if shown.len() == MAX_FILESYSTEMS {
            break;
        }
    }
    shown
}

fn is_shown(mount: &Mount) -> bool {
    let is_below = |prefix: &str| {
        mount.mount_point.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    (mount.device.starts_with(b"/dev/") || mount.fs_type == b"zfs")
        && !EXCLUDED_TYPES.iter().any(|excluded| mount.fs_type == excluded.as_bytes())
        && !EXCLUDED_MOUNT_POINTS.iter().any(|prefix| is_below(prefix))
        && !EXCLUDED_BELOW.iter().any(|prefix| mount.mount_point.starts_with(prefix.as_bytes()))
}

/// The kernel writes space, tab, newline, `\` and `#` as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match octal {
            Some(value) => {
                plain.push(value);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mounts: &str) -> Vec<String> {
        parse(mounts.as_bytes()).iter().map(|mount| String::from_utf8_lossy(&mount.mount_point).into_owned()).collect()
    }

    #[test]
    fn only_block_devices_outside_the_excluded_places() {
        let mounts = "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw 0 0\n/dev/vda1 /srv/bind ext4 rw 0 0\n\
            tmpfs /tmp tmpfs rw 0 0\n/dev/vdb /mnt/data xfs rw 0 0\n/dev/vdc /mntx xfs rw 0 0\n\
            /dev/loop0 /snap/core squashfs ro 0 0\n/dev/vdd /var/lib/docker/overlay2 ext4 rw 0 0\n\
            /dev/vde /var/lib/docker ext4 rw 0 0\nnas:/x /nfs nfs4 rw 0 0\ntank /tank zfs rw 0 0\n";
        assert_eq!(shown(mounts), ["/", "/mntx", "/var/lib/docker", "/tank"]);
    }

    #[test]
    fn escapes_are_undone_and_bad_ones_kept() {
        assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999"), b"\\999");
        assert_eq!(unescape(b"x\\"), b"x\\");
        assert_eq!(unescape(b"\\777"), b"\\777");
    }

    #[test]
    fn short_lines_and_odd_bytes_are_harmless() {
        assert!(parse(b"\n \n/dev/vda\n/dev/vda /\n\xff\xfe \xff\n").is_empty());
        assert_eq!(parse(b"/dev/vda /\xff ext4").len(), 1);
    }

    #[test]
    fn the_number_is_bounded() {
        let mounts: String = (0..100).map(|n| format!("/dev/vd{n} /d{n} ext4 rw 0 0\n")).collect();
        assert_eq!(shown(&mounts).len(), MAX_FILESYSTEMS);
    }
}
