//! Compression of a body that many readers get.

use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};

/// Of Brotli's 0 to 11. From 5 on it takes several times as long to save a few percent; at 4 it beats gzip's best in
/// size and in time.
const BROTLI_QUALITY: i32 = 4;
/// Bits of Brotli's window, 4 MiB: as far back as a list repeats itself, and what every browser takes.
const BROTLI_WINDOW_BITS: i32 = 22;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// Every one, in the order of its number.
    pub(crate) const ALL: [Self; 3] = [Self::Identity, Self::Gzip, Self::Brotli];

    /// The word in `Content-Encoding`; none for a body that is not packed.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }

    /// The coding that the client likes best; of several the smallest. An `Accept-Encoding` that allows nothing of
    /// ours gets the plain body, which RFC 9110, section 12.5.3, allows.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let [brotli, gzip] = qualities(headers);
        if brotli > 0.0 && brotli >= gzip {
            Self::Brotli
        } else if gzip > 0.0 {
            Self::Gzip
        } else {
            Self::Identity
        }
    }

    /// True when the client takes gzip.
    pub(crate) fn is_gzip_taken(headers: &HeaderMap) -> bool {
        qualities(headers)[1] > 0.0
    }

    /// The body so packed. Writing to memory does not fail.
    pub(crate) fn pack(self, body: &Bytes) -> std::io::Result<Bytes> {
        match self {
            Self::Identity => Ok(body.clone()),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish().map(Bytes::from)
            }
            Self::Brotli => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW_BITS,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                let mut packed = Vec::with_capacity(body.len() / 10);
                brotli::BrotliCompress(&mut &body[..], &mut packed, &params)?;
                Ok(packed.into())
            }
        }
    }
}

/// How much the client likes Brotli and gzip, 0 for what it does not take.
fn qualities(headers: &HeaderMap) -> [f32; 2] {
    let (mut named, mut others) = ([None; 2], 0.0);
    let values = headers.get_all(header::ACCEPT_ENCODING);
    for coding in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        match name {
            "*" => others = quality,
            _ if name.eq_ignore_ascii_case("br") => named[0] = Some(quality),
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => named[1] = Some(quality),
            _ => {}
        }
    }
    named.map(|quality| quality.unwrap_or(others))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn clients_get_the_best_of_what_they_take() {
        let accepted = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
            Coding::accepted(&headers)
        };
        for text in ["br", "gzip, deflate, br, zstd", "gzip;q=0.5, BR", "*", "*;q=0.1, gzip;q=0"] {
            assert_eq!(accepted(text), Coding::Brotli, "{text}");
        }
        for text in ["gzip", "deflate, GZip;q=0.5", "br;q=0.2, gzip;q=0.8", "br;q=0, *", "x-gzip"] {
            assert_eq!(accepted(text), Coding::Gzip, "{text}");
        }
        for text in ["", "deflate", "gzip;q=0, br;q=0.000", "x-gzipped", "*;q=0", "gzip;q=NaN", "gzip;q=much"] {
            assert_eq!(accepted(text), Coding::Identity, "{text}");
        }
        assert!(Coding::is_gzip_taken(
            &[(header::ACCEPT_ENCODING, "br, gzip;q=0.1".parse().unwrap())].into_iter().collect()
        ));
        assert_eq!(Coding::accepted(&HeaderMap::new()), Coding::Identity);
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let body = Bytes::from(r#"{"ip":"192.0.2.1","hostname":"de1"},"#.repeat(5_000));
        let mut unpacked = Vec::new();
        let packed = Coding::Gzip.pack(&body).unwrap();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == body && packed.len() < body.len() / 10);
        unpacked.clear();
        let packed = Coding::Brotli.pack(&body).unwrap();
        brotli::BrotliDecompress(&mut &packed[..], &mut unpacked).unwrap();
        assert!(unpacked == body && packed.len() < body.len() / 10);
    }
}
