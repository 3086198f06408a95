//! The files that pages load: styles, scripts and the icon, embedded in the binary and served under a hash of their
//! content, so that browsers keep them for good and never have an old one.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// Each file's path in the folder, and where it is served.
static URLS: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let mut urls = HashMap::new();
    collect(&FILES, &mut urls);
    urls
});

fn collect(dir: &'static Dir<'static>, urls: &mut HashMap<&'static str, String>) {
    for file in dir.files() {
        let Some(path) = file.path().to_str() else { continue };
        let hash = Sha256::digest(file.contents());
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        urls.insert(path, format!("/assets/{hash}/{path}"));
    }
    dir.dirs().for_each(|dir| collect(dir, urls));
}

/// Where a file is served. A file that is not there is a fault of ours, which the tests find.
pub fn url(path: &str) -> &'static str {
    URLS.get(path).map_or("/assets/none", String::as_str)
}

/// Serves a file.
pub async fn serve(Path((hash, path)): Path<(String, String)>) -> Response {
    let found = FILES.get_file(&path).filter(|_| url(&path) == format!("/assets/{hash}/{path}"));
    let Some(file) = found else { return StatusCode::NOT_FOUND.into_response() };
    let media_type = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, file.contents()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_pages_name_is_there() {
        for path in ["app.css", "app.js", "icon.svg", "charts.js", "uplot/uPlot.min.css", "uplot/uPlot.iife.min.js"]
        {
            assert_ne!(url(path), "/assets/none", "{path}");
        }
    }

    #[test]
    fn styles_and_scripts_load_nothing_from_elsewhere() {
        for path in ["app.css", "app.js", "charts.js"] {
            let text = FILES.get_file(path).and_then(|file| file.contents_utf8()).unwrap_or_default();
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"), "{path}");
        }
    }
}
