//! Data keys and restores: what was shredded stays so, whichever backup is put in place (trust.md C07).

mod support;

use std::path::Path;

use keyward_core::change::{Change, DataKeyChange};
use keyward_core::data_key::{DataKeyBytes, DataKeyId};
use keyward_core::key_encryption::{KekVersion, KeyEncryptionKey, WhichDataKey, Wrapped};
use keyward_core::store::Store;
use keyward_core::tenancy::Project;
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use keyward_store::restore;
use support::*;

fn kek(version: u32, seed: u8) -> KeyEncryptionKey {
    KeyEncryptionKey::new(KekVersion(version), &[seed; 32])
}

fn of(project: &Project, what: DataKeyChange) -> Change {
    Change::DataKey { of: project_ref(project), what }
}

/// A store with one data key of a project, wrapped under a key.
async fn with_a_data_key(world: &World, kek: &KeyEncryptionKey) -> (Project, WhichDataKey, Wrapped) {
    let project = world.project("one").await;
    let which = WhichDataKey { project: project.id, id: new_data_key_id() };
    let wrapped = kek.wrap(which, &DataKeyBytes::new([7; 32]), &keyward_core::clock::SystemEntropy);
    let created = DataKeyChange::Created { id: which.id, wrapped: Some(wrapped.clone()) };
    world.make(of(&project, created)).await;
    (project, which, wrapped)
}

/// Whether a file holds these bytes anywhere.
fn holds(file: &Path, bytes: &[u8]) -> bool {
    std::fs::read(file).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn c07_a_restore_shreds_again() {
    let fixture = SqliteFixture::new();
    let backup = fixture.folder().join("backup");
    let (first, kept);
    {
        let (store, world) = fixture.world().await;
        let kek = kek(1, 1);
        let (project, which, wrapped) = with_a_data_key(&world, &kek).await;
        let other = with_a_data_key(&world, &kek).await;
        store.backup(&backup).await.unwrap();
        world.make(of(&project, DataKeyChange::Shredded { keys: vec![which.id] })).await;
        // Made since, and lost with the restore: not shredded.
        let second = DataKeyId::from_u128(77);
        let made = DataKeyChange::Created { id: second, wrapped: Some(wrapped.clone()) };
        world.make(of(&project, made)).await;
        (first, kept) = ((which, wrapped), other.1);
    }
    fixture.close().await;
    assert!(holds(&backup, &first.1.bytes), "the backup itself still has it, wrapped");
    let report = restore(&fixture.dir(), &backup, &fixture.keys, START, |_| {}).await.unwrap();
    assert_eq!(report.replayed, 1);

    let (store, _) = fixture.world().await;
    assert_eq!(store.wrapped_data_key(first.0).await.unwrap(), None);
    let ring = store.data_keyring(first.0.project).await.unwrap().unwrap();
    assert!(ring.key(first.0.id).unwrap().state.is_shredded());
    assert!(store.wrapped_data_key(kept).await.unwrap().is_some(), "another project's stays");
    fixture.close().await;
    // Nor do the folder's files have it anywhere.
    for file in std::fs::read_dir(fixture.dir()).unwrap().map(|entry| entry.unwrap().path()) {
        assert!(!holds(&file, &first.1.bytes), "{} holds it", file.display());
    }
}

#[tokio::test]
async fn c07_a_backup_opens_with_the_key_that_wrapped_it_and_with_no_later_one() {
    let fixture = SqliteFixture::new();
    let backup = fixture.folder().join("backup");
    let (old, new) = (kek(1, 1), kek(2, 2));
    let (which, wrapped) = {
        let (store, world) = fixture.world().await;
        let (project, which, wrapped) = with_a_data_key(&world, &old).await;
        store.backup(&backup).await.unwrap();
        let bytes = old.unwrap(which, &wrapped).unwrap();
        let anew = new.wrap(which, &bytes, &keyward_core::clock::SystemEntropy);
        assert!(store.rewrap_data_key(which, &wrapped, &anew).await.unwrap());
        assert!(store.retire_encryption_key(KekVersion(1)).await.unwrap());
        world.make(of(&project, DataKeyChange::Shredded { keys: vec![which.id] })).await;
        (which, wrapped)
    };
    fixture.close().await;
    // Taken from the raw backup: today's secrets do not open it, the retired one would.
    assert!(holds(&backup, &wrapped.bytes));
    let renamed = Wrapped { version: KekVersion(2), ..wrapped.clone() };
    assert!(new.unwrap(which, &wrapped).is_err() && new.unwrap(which, &renamed).is_err());
    assert!(old.unwrap(which, &wrapped).is_ok(), "which is why a version is destroyed when it is retired");
}
