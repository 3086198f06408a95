//! Keys that a provider signs ID tokens with, and JSON Web Signatures made with them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key pair.
pub enum Signer {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Signer {
    pub fn eddsa() -> Self {
        Signer::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    pub fn es256() -> Self {
        Signer::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn rs256() -> Self {
        Signer::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Signer::EdDsa(_) => "EdDSA",
            Signer::Es256(_) => "ES256",
            Signer::Rs256(_) => "RS256",
        }
    }

    /// The public key as a JSON Web Key.
    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Signer::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key().as_ref())}),
            Signer::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y)})
            }
            Signer::Rs256(pair) => {
                // An RSAPublicKey of RFC 8017: a sequence of 256 bytes after a zero, and of 65537.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[4..9]), (270, &[2, 0x82, 1, 1, 0][..]));
                json!({"kty": "RSA", "n": base64(&der[9..265]), "e": base64(&der[267..])})
            }
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().into();
        jwk
    }

    /// The public key as everybody can have it: what a careless verifier takes for a shared secret.
    pub fn public_pem(&self) -> String {
        let der = match self {
            Signer::EdDsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Signer::Es256(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Signer::Rs256(pair) => {
                let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
        };
        let lines: Vec<String> = STANDARD
            .encode(der)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn sign(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::EdDsa(pair) => pair.sign(input).as_ref().to_vec(),
            Signer::Es256(pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Signer::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this header and these claims, signed with this key whatever the header says.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        token(header, claims, |input| self.sign(input))
    }
}

/// A token without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    token(header, claims, |_| Vec::new())
}

/// A token signed with a shared secret.
pub fn hmac_signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    token(header, claims, |input| hmac::sign(&key, input).as_ref().to_vec())
}

fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
    let signature = base64(&sign(input.as_bytes()));
    format!("{input}.{signature}")
}

pub fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
