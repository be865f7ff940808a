//! What expressions may ask of an answer. Each check type adds variables of its own to these.

use watchpost_expr::{Field, RecordType, Type};

/// Texts, such as names or addresses.
pub(crate) const TEXTS: Type = Type::List(&Type::String);

static PHASES: RecordType = RecordType {
    name: "record phases",
    fields: &[
        Field::new("dns_ms", Type::Double, "resolving the name, in ms").absent_because("no name was resolved"),
        Field::new("connect_ms", Type::Double, "connecting, in ms").absent_because("nothing was connected to"),
        Field::new("tls_ms", Type::Double, "the TLS handshake, in ms").absent_because("there was no TLS handshake"),
        Field::new("send_ms", Type::Double, "sending the request, in ms").absent_because("nothing was sent"),
        Field::new("first_byte_ms", Type::Double, "waiting for the first byte of the answer, in ms")
            .absent_because("no answer was waited for"),
        Field::new("receive_ms", Type::Double, "reading the answer, in ms").absent_because("no answer was read"),
        Field::new("run_ms", Type::Double, "running the plugin, in ms").absent_because("no plugin was run"),
        Field::new("total_ms", Type::Double, "the whole check so far, in ms"),
    ],
};

static TLS: RecordType = RecordType {
    name: "record tls",
    fields: &[
        Field::new("version", Type::String, "the protocol version, for example `TLSv1.3`").optional(),
        Field::new("cipher", Type::String, "the cipher suite").optional(),
        Field::new("alpn", Type::String, "the protocol that was agreed on by ALPN, for example `h2`")
            .absent_because("no protocol was agreed on by ALPN"),
        Field::new("verified", Type::Bool, "whether the server's certificate is valid").optional(),
        Field::new("self_signed", Type::Bool, "whether the server's certificate names itself as its issuer"),
        Field::new("client_certificate_asked", Type::Bool, "whether the server asked for a certificate of the client"),
        Field::new("days_left", Type::Double, "until the server's certificate expires, in days")
            .absent_because("the certificate does not say when it expires"),
        Field::new("not_after", Type::String, "when the server's certificate expires (RFC 3339)")
            .absent_because("the certificate does not say when it expires"),
        Field::new("not_before", Type::String, "when the server's certificate begins to be valid (RFC 3339)")
            .optional(),
        Field::new("serial", Type::String, "the serial number of the server's certificate, in hexadecimal").optional(),
        Field::new("key_type", Type::String, "the kind of the server's key, for example `RSA`").optional(),
        Field::new("key_bits", Type::Int, "the size of the server's key, in bits").optional(),
        Field::new("signature_algorithm", Type::String, "how the server's certificate is signed").optional(),
        Field::new("sha256", Type::String, "SHA-256 of the server's certificate, in hexadecimal").optional(),
        Field::new("subject", Type::String, "the subject of the server's certificate").optional(),
        Field::new("issuer", Type::String, "the issuer of the server's certificate").optional(),
        Field::new("sans", TEXTS, "the names that the server's certificate is for"),
        Field::new("chain", TEXTS, "the subjects of the certificates that the server sent, its own first"),
    ],
};

static TARGET: RecordType = RecordType {
    name: "record target",
    fields: &[Field::new("labels", Type::Map(&Type::String), "the labels of the target, as results show them")],
};

/// What every check type has.
pub(crate) const COMMON: &[Field] = &[
    Field::new("phases", Type::Record(&PHASES), "how long each phase took; of several hops, of the last"),
    Field::new("tls", Type::Record(&TLS), "what the TLS handshake showed")
        .absent_because("the answer came without TLS"),
    Field::new("address", Type::String, "the address that was connected to, with its port")
        .absent_because("nothing was connected to"),
    Field::new("resolved", TEXTS, "the addresses that the name resolved to"),
    Field::new("metrics", Type::Map(&Type::Double), "the check's numbers by name"),
    Field::new("target", Type::Record(&TARGET), "what is known of the target besides"),
];
