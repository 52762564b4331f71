//! Style sheets, scripts and icon: part of the program, kept by browsers for good.

use std::io::Read;
use std::sync::{LazyLock, OnceLock};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::rest::coding::Coding;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// The bytes are compressed: a part of the program that is large and seldom asked for.
    is_gzip: bool,
    /// Start of the content's SHA-256; part of the address, so that another content has another address.
    hash: String,
    /// The content packed, once somebody asked for it so.
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 12]> = LazyLock::new(|| {
    [
        asset("app.css", CSS, include_bytes!("../../assets/app.css")),
        asset("app.js", JS, include_bytes!("../../assets/app.js")),
        asset("fleet.js", JS, include_bytes!("../../assets/fleet.js")),
        asset("world.svg", "image/svg+xml", include_bytes!("../../assets/vendored/world.svg")),
        asset("chart.js", JS, include_bytes!("../../assets/chart.js")),
        asset("favicon.svg", "image/svg+xml", include_bytes!("../../assets/favicon.svg")),
        asset("reader.css", CSS, include_bytes!("../../assets/reader.css")),
        asset("swagger.js", JS, include_bytes!("../../assets/swagger.js")),
        asset("redoc.js", JS, include_bytes!("../../assets/redoc.js")),
        packed("swagger-ui.css", CSS, include_bytes!("../../assets/vendored/swagger-ui.css.gz")),
        packed("swagger-ui-bundle.js", JS, include_bytes!("../../assets/vendored/swagger-ui-bundle.js.gz")),
        packed("redoc.standalone.js", JS, include_bytes!("../../assets/vendored/redoc.standalone.js.gz")),
    ]
});

fn asset(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    let hash = Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name, content_type, bytes, is_gzip: false, hash, gzip: OnceLock::new(), brotli: OnceLock::new() }
}

fn packed(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { is_gzip: true, ..asset(name, content_type, bytes) }
}

impl Asset {
    /// The content for a client that does not take gzip.
    fn unpacked(&self) -> std::io::Result<Bytes> {
        let mut content = Vec::new();
        GzDecoder::new(self.bytes).read_to_end(&mut content)?;
        Ok(content.into())
    }

    /// The content in a form that the client takes.
    fn coded(&self, coding: Coding) -> std::io::Result<Bytes> {
        let kept = match coding {
            Coding::Identity => return Ok(Bytes::from_static(self.bytes)),
            Coding::Gzip => &self.gzip,
            Coding::Brotli => &self.brotli,
        };
        if let Some(bytes) = kept.get() {
            return Ok(bytes.clone());
        }
        let bytes = coding.pack(&Bytes::from_static(self.bytes))?;
        Ok(kept.get_or_init(|| bytes).clone())
    }
}

/// Address of an asset, for templates.
pub(crate) fn url(name: &str) -> String {
    let hash = ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.hash);
    format!("/assets/{hash}/{name}")
}

/// `GET /assets/{hash}/{name}`. Under another hash, which an older page may ask for, the newest content without
/// leave to keep it.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Error::NotFound)?;
    let caching = if asset.hash == hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    let caching = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, caching)];
    let (body, coding) = if asset.is_gzip {
        let is_taken = Coding::is_gzip_taken(&headers);
        let body = if is_taken { Ok(Bytes::from_static(asset.bytes)) } else { asset.unpacked() };
        (body, is_taken.then_some("gzip"))
    } else {
        let coding = Coding::accepted(&headers);
        (asset.coded(coding), coding.name())
    };
    let mut response = (caching, body.map_err(|error| Error::Internal(Box::new(error)))?).into_response();
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_an_address_of_its_own() {
        for asset in ASSETS.iter() {
            assert_eq!(url(asset.name), format!("/assets/{}/{}", asset.hash, asset.name));
        }
    }
}
