//! Certificates for receivers that speak TLS.

use crate::place::Place;

/// An authority, `ca.pem`, and of its making `server` and `client`, each `.pem` and `.key`, in the place's folder. They are for
/// `localhost`, `collector` and 127.0.0.1.
#[track_caller]
pub fn make_certificates(place: &Place) {
    let root = place.root().display();
    place
        .sh(&format!(
            "cd {root}; exec 2> openssl.log
             openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority
             for who in server client; do
               openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
               echo subjectAltName=DNS:localhost,DNS:collector,IP:127.0.0.1 > $who.ext
               openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $who.pem -extfile $who.ext
             done"
        ))
        .ok();
}
