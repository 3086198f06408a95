//! Pairs on disk: read, replaced, broken, and what is done with each.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward_core::clock::Timestamp;
use keyward_edge::tls::ServerTls;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::read::{Shown, Spoken};
use super::watch::{Held, Watched, stamps};
use crate::config::{ListenerFiles, UpstreamFiles};

/// In the middle of 2030.
const NOW: Timestamp = Timestamp::from_millis(1_907_000_000_000);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a certificate and its key there, valid in these years.
    fn pair(&self, years: std::ops::Range<i32>) -> ListenerFiles {
        let mut params = CertificateParams::new(["keyward.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let files = self.files();
        put(&files.certificate, &params.self_signed(&key).unwrap().pem(), 0o644);
        put(&files.private_key, &key.serialize_pem(), 0o600);
        files
    }

    fn files(&self) -> ListenerFiles {
        ListenerFiles { certificate: self.path("cert.pem"), private_key: self.path("key.pem"), client_ca: None }
    }
}

/// By renaming, as whoever renews certificates should.
fn put(path: &Path, text: &str, mode: u32) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn refusal(files: &ListenerFiles) -> String {
    Shown::read(files).map(drop).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_used_is_named_with_its_file() {
    let folder = Folder::new();
    let files = folder.pair(2020..2040);
    Shown::read(&files).map(drop).unwrap();
    std::fs::set_permissions(&files.private_key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let told = refusal(&files);
    assert!(told.contains("key.pem can be read by others (mode 0640)"), "{told}");
    put(&files.private_key, &KeyPair::generate().unwrap().serialize_pem(), 0o600);
    let told = refusal(&files);
    assert!(told.contains("key.pem cannot be used: the private key does not belong to the certificate"), "{told}");
    put(
        &files.private_key,
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IHNlY3JldA==\n-----END PRIVATE KEY-----\n",
        0o600,
    );
    let told = refusal(&files);
    assert!(told.contains("key.pem holds a private key of a kind") && !told.contains("c2Vjcm"), "{told}");
    put(&files.certificate, "not PEM", 0o644);
    assert!(refusal(&files).contains("cert.pem holds no certificate in PEM"));
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(refusal(&files).contains("cert.pem"));
    folder.pair(2020..2040);
    let clients = ListenerFiles { client_ca: Some(files.private_key.clone()), ..files };
    assert!(refusal(&clients).contains("key.pem holds no certificate in PEM"));
}

fn watched(files: &ListenerFiles, now: Timestamp) -> (Watched, ServerTls) {
    let shown = Shown::read(files).unwrap();
    let tls = ServerTls::new(shown.gateway);
    let held = Held::Listeners { files: files.clone(), control: None, check: None, gateway: Some(tls.clone()) };
    (Watched::new(held, stamps(&files.all()), Some(shown.pair), now), tls)
}

#[test]
fn a_pair_is_replaced_when_it_changes_and_kept_when_the_new_one_is_worse() {
    let folder = Folder::new();
    let files = folder.pair(2020..2031);
    let (mut watched, tls) = watched(&files, NOW);
    let mut shown = tls.current();
    let mut is_new = |watched: &mut Watched, is_asked: bool| {
        watched.look(NOW, is_asked);
        let before = std::mem::replace(&mut shown, tls.current());
        !Arc::ptr_eq(&before, &shown)
    };
    assert!(!is_new(&mut watched, false), "nothing changed");
    assert!(is_new(&mut watched, true), "read again when asked");
    folder.pair(2020..2032);
    assert!(is_new(&mut watched, false) && !is_new(&mut watched, false));
    let whole = std::fs::read_to_string(&files.certificate).unwrap();
    put(&files.certificate, &whole[..whole.len() / 2], 0o644);
    assert!(!is_new(&mut watched, false), "half a file");
    put(&files.certificate, &whole, 0o644);
    assert!(is_new(&mut watched, false), "mended");
    folder.pair(2010..2020);
    assert!(!is_new(&mut watched, false), "one that has ended");
    folder.pair(2035..2040);
    assert!(!is_new(&mut watched, false), "one that has not begun");
    std::fs::remove_file(&files.private_key).unwrap();
    assert!(!is_new(&mut watched, false), "one of the two is missing");
    folder.pair(2020..2033);
    assert!(is_new(&mut watched, false));
}

#[test]
fn one_that_ended_is_shown_where_there_is_no_better_and_replaced_by_any() {
    let folder = Folder::new();
    let files = folder.pair(2010..2020);
    let (mut watched, tls) = watched(&files, NOW);
    for years in [2011..2021, 2020..2040] {
        let before = tls.current();
        folder.pair(years);
        watched.look(NOW, false);
        assert!(!Arc::ptr_eq(&before, &tls.current()));
    }
}

#[test]
fn what_upstreams_are_spoken_to_with_is_read_with_all_its_parts() {
    let folder = Folder::new();
    let ListenerFiles { certificate, private_key, .. } = folder.pair(2020..2040);
    Spoken::read(&UpstreamFiles::default()).map(drop).unwrap();
    let client = Some((certificate.clone(), private_key.clone()));
    let files = UpstreamFiles { ca: Some(certificate), client };
    assert_eq!(files.all().len(), 3);
    assert!(Spoken::read(&files).unwrap().pair.is_some());
    let wrong = UpstreamFiles { ca: Some(private_key), client: None };
    let told = Spoken::read(&wrong).map(drop).unwrap_err().to_string();
    assert!(told.contains("key.pem holds no certificate"), "{told}");
}
