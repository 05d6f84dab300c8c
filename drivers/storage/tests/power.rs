//! What a power cut leaves: layers whose names are on the disk and whose content may not be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod common;
use common::{Place, Tar, archive, place};
use contract::image::Images;
use gantry_storage::Store;
use std::path::PathBuf;

fn layer(content: &str) -> Vec<u8> {
    Tar::default().file("file", content).end()
}

/// Two images: `one` of the first layer, `two` of both; answers the layers' folders.
async fn two_images(place: &Place) -> [PathBuf; 2] {
    let (first, second) = (layer("first"), layer("second"));
    place.load(&archive(&[&first], &["one:latest"])).await.unwrap();
    place.load(&archive(&[&first, &second], &["two:latest"])).await.unwrap();
    let folders = place.store.find("two").await.unwrap().folders;
    let layers = [folders[0].parent().unwrap().to_owned(), folders[1].parent().unwrap().to_owned()];
    for layer in &layers {
        settled(layer).await;
    }
    layers
}

/// Waits until the layer is on the disk.
async fn settled(layer: &std::path::Path) {
    while layer.join("unsynced").exists() {
        tokio::task::yield_now().await;
    }
}

/// As if it had been unpacked before the machine's last start.
fn doubt(layer: &std::path::Path) {
    std::fs::write(layer.join("unsynced"), "another boot").unwrap();
}

#[tokio::test]
async fn a_layer_in_doubt_is_read_back_and_stays_if_it_is_whole() {
    let place = place();
    let [first, second] = two_images(&place).await;
    doubt(&first);
    doubt(&second);
    let store = Store::open(place.data(), None).unwrap();
    assert_eq!(store.list().await.unwrap().len(), 2);
    assert!(!first.join("unsynced").exists() && !second.join("unsynced").exists());
}

#[tokio::test]
async fn images_go_with_the_layer_that_lost_its_content_and_others_stay() {
    let place = place();
    let [first, second] = two_images(&place).await;
    doubt(&first);
    doubt(&second);
    // What delayed allocation leaves of a file whose name was written down before its content.
    std::fs::File::create(second.join("diff/file")).unwrap();
    let store = Store::open(place.data(), None).unwrap();
    let images = store.list().await.unwrap();
    assert_eq!(images.iter().map(|i| i.tags.clone()).collect::<Vec<_>>(), [["one:latest"]]);
    assert!(first.exists() && !second.exists());
    assert_eq!(store.find("two").await.unwrap_err().text, "No such image: two:latest");
}

#[tokio::test]
async fn a_layer_whose_size_or_record_is_gone_is_broken_too() {
    for file in ["size", "stream"] {
        let place = place();
        let [_, second] = two_images(&place).await;
        doubt(&second);
        std::fs::File::create(second.join(file)).unwrap();
        let store = Store::open(place.data(), None).unwrap();
        assert_eq!(store.list().await.unwrap().len(), 1, "{file}");
    }
}

#[tokio::test]
async fn a_layer_that_nobody_doubts_is_not_read_again() {
    let place = place();
    let [_, second] = two_images(&place).await;
    // A killed daemon leaves the mark of this boot.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(second.join("unsynced"), boot.trim()).unwrap();
    std::fs::File::create(second.join("stream")).unwrap();
    let store = Store::open(place.data(), None).unwrap();
    assert_eq!(store.list().await.unwrap().len(), 2);
    settled(&second).await;
}
