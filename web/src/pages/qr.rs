//! QR codes as a path of an SVG: drawn here, so that a secret goes to nobody else.

use qrcodegen::{QrCode, QrCodeEcc};

/// The empty margin that readers need, in modules (ISO/IEC 18004, section 9.1).
const MARGIN: i32 = 4;

/// A code, ready to be placed: `<svg viewBox="0 0 {side} {side}"><path d="{path}"/></svg>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qr {
    /// Modules of a side, the margin included.
    pub(crate) side: i32,
    /// The dark ones, a rectangle for each run of a row.
    pub(crate) path: String,
}

impl Qr {
    /// The code of a text; `None` when the text is too long for one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
        let mut path = String::new();
        for y in 0..code.size() {
            let mut x = 0;
            while x < code.size() {
                let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count() as i32;
                if run > 0 {
                    path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + MARGIN, y + MARGIN));
                }
                x += run + 1;
            }
        }
        Some(Self { side: code.size() + 2 * MARGIN, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_module_is_drawn_once() {
        let text = "otpauth://totp/Mect%20VPN%20Monitor:zoe?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let (code, qr) = (QrCode::encode_text(text, QrCodeEcc::Medium).unwrap(), Qr::of(text).unwrap());
        assert_eq!(qr.side, code.size() + 8);
        let mut drawn = std::collections::HashSet::new();
        for run in qr.path.split('M').filter(|run| !run.is_empty()) {
            let (at, length) = run.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let length: i32 = length.split('v').next().unwrap().parse().unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            (x..x + length).for_each(|x| assert!(drawn.insert((x - MARGIN, y - MARGIN))));
        }
        let dark = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark: std::collections::HashSet<_> = dark.filter(|(x, y)| code.get_module(*x, *y)).collect();
        assert_eq!(drawn, dark);
        assert_eq!(Qr::of(&"x".repeat(4000)), None);
    }
}
