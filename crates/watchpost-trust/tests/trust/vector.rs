//! What others sign and verify as well: these bytes are forever.

use watchpost_model::{Check, CheckDocument, Format, decode, encode};
use watchpost_trust::{Fault, Signer, SignerError, Signers, canonical_bytes, verify};

use crate::rig::{SEED, at, document, group, signed, signer, trusted};

const SMALL: &str = r#"{"tcp": {"address": "10.0.0.1:80"}, "id": "web"}"#;

#[test]
fn the_canonical_bytes_and_the_signature_stay_as_they_are() {
    let check = signed(SMALL, 7);
    let signature = check.signature().unwrap();
    let expected = concat!(
        "watchpost signed check 1\n",
        r#"{"at":"2026-11-21T20:00:00.5Z","by":"UDRDGH6R6NX32NBS3SOKIJCYAXFTDZNVNMVRWNKVHBLKGIX5GOREDF3I","#,
        r#""check":{"id":"web","interval":"1m","tcp":{"address":"10.0.0.1:80"},"timeout":"10s","v":1},"#,
        r#""group":"site","revision":7}"#,
    );
    assert_eq!(String::from_utf8(canonical_bytes(&check, signature)).unwrap(), expected);
    assert_eq!(
        signature.sig.to_string(),
        "MXo__0WSUvymENAWDJ--y0WyUfpAnk2BpP_mYlzJEntQ3N0jJohPGWqwTbi3kvveNHC6qaFM2OBxy3gO3avYCQ"
    );
}

#[test]
fn what_is_left_out_and_what_is_written_out_mean_the_same_in_every_format() {
    let check = signed(SMALL, 7);
    let written_out = r#"{"v": 1, "id": "web", "interval": "60s", "timeout": "10000ms", "scheduled": true,
        "overlap": "skip", "addresses": "any", "parallel": 256, "tcp": {"address": "10.0.0.1:80"}}"#;
    assert_eq!(signed(written_out, 7).signature(), check.signature());
    for format in [Format::Json, Format::MsgPack] {
        let document: CheckDocument = decode(&encode(&check, format), format).unwrap();
        let again: Check = decode(&encode(&document, format), format).unwrap();
        assert!(verify(&again, &group("site"), &trusted()).is_ok(), "{format:?}");
    }
}

#[test]
fn a_signature_counts_for_its_signer_and_group_alone() {
    let check = signed(SMALL, 7);
    assert_eq!(verify(&check, &group("site"), &trusted()).unwrap().revision, 7);
    let others = Signers::new([Signer::generate().unwrap().key().clone()]).unwrap();
    let unsigned = Check::try_from(document(SMALL)).unwrap();
    assert!(matches!(verify(&check, &group("site"), &others), Err(Fault::UnknownSigner { .. })));
    assert!(matches!(verify(&check, &group("elsewhere"), &trusted()), Err(Fault::OtherGroup { .. })));
    assert!(matches!(verify(&unsigned, &group("site"), &trusted()), Err(Fault::NotSigned { .. })));
    // Somebody else's signature under a name that is trusted.
    let mut forged = Signer::generate().unwrap().sign(document(SMALL), &group("site"), 7, at()).unwrap();
    forged.signature.as_mut().unwrap().by = signer().key().clone();
    let forged = Check::try_from(forged).unwrap();
    assert!(matches!(verify(&forged, &group("site"), &trusted()), Err(Fault::Broken { .. })));
}

#[test]
fn seeds_are_read_from_what_other_tools_write_and_shown_by_nothing() {
    let creds = format!("-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n");
    assert_eq!(Signer::from_seed(&creds).unwrap().key(), signer().key());
    assert!(!format!("{:?}", signer()).contains(&SEED[..8]));
    assert_eq!(signer().seed().unwrap(), SEED);
    let wrong = SEED.replace(&SEED[2..6], "AAAA");
    for (text, error) in [
        ("", SignerError::NotASeed),
        (&wrong, SignerError::NotASeed),
        ("SAA", SignerError::NotASeed),
        (&SEED[..57], SignerError::NotASeed),
        (signer().key().as_str(), SignerError::NotASeed),
    ] {
        assert_eq!(Signer::from_seed(text).unwrap_err(), error, "{text}");
    }
    let server = nkeys::KeyPair::new_server().seed().unwrap();
    assert_eq!(Signer::from_seed(&server).unwrap_err(), SignerError::OtherKind);
    let typo = format!("UAAAAA{}", &signer().key().as_str()[6..]).parse().unwrap();
    assert!(matches!(Signers::new([typo]), Err(SignerError::NotAKey(_))));
    assert!(matches!(Signers::new([]), Err(SignerError::HowMany(0))));
    let many = (0..65).map(|_| Signer::generate().unwrap().key().clone());
    assert!(matches!(Signers::new(many), Err(SignerError::HowMany(65))));
}

#[test]
fn a_later_signature_has_a_higher_revision() {
    let (signer, site) = (signer(), group("site"));
    let first = signer.sign(document(SMALL), &site, 5, at()).unwrap();
    let again = signer.sign(first.clone(), &site, 5, at()).unwrap_err();
    assert!(matches!(again, SignerError::NotLater { there: 5, given: 5, .. }));
    assert!(signer.sign(first.clone(), &site, 6, at()).is_ok());
    assert!(signer.sign(first, &group("other"), 1, at()).is_ok());
    let invalid = signer.sign(document(r#"{"id": "web"}"#), &site, 1, at()).unwrap_err();
    assert!(matches!(invalid, SignerError::Invalid(_)), "{invalid}");
}

#[test]
fn a_number_that_others_may_read_otherwise_is_not_signed() {
    let expecting = |number: f64| {
        let json = serde_json::json!({
            "id": "rate", "http": {"url": "http://a/"}, "expect": {"json_path": {"$.rate": number}},
        });
        signer().sign(serde_json::from_value(json).unwrap(), &group("site"), 1, at())
    };
    assert!(expecting(0.1).is_ok() && expecting(99.95).is_ok() && expecting(1e-7).is_ok());
    // The reader of JSON takes this one for 0.38120423768821240.
    let error = expecting(0.381_204_237_688_212_43).unwrap_err();
    assert!(matches!(error, SignerError::TooManyDigits { .. }), "{error}");
}
