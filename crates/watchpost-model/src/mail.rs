//! Settings of the types that visit a mail server: `smtp`, `imap`, `pop3`.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::credentials::Password;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;
use crate::variables::TEXTS;

/// When TLS begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartTls {
    /// Once the server has agreed to it in plain text; one that does not offer it fails.
    Required,
    /// The same, where the server offers it.
    #[default]
    IfOffered,
    /// Not at all.
    Never,
    /// With the connection, as on the ports 465, 993 and 995.
    Implicit,
}

impl StartTls {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

text_type!(
    zeroized
    /// The name of a user of a mail server, 1 to 255 bytes without control characters.
    MailUser,
    "the name of a user",
    255,
    |text| match text {
        "" => Err("the name of the user is empty".into()),
        text if text.contains(char::is_control) => Err("the name of the user holds a control character".into()),
        _ => Ok(()),
    }
);

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailLogin {
    /// The name of the user.
    pub username: MailUser,
    /// The user's password, without control characters. No result shows it.
    pub password: Password,
}

text_type!(
    /// The name by which a client introduces itself: a host name, or an address in brackets.
    HeloName,
    "the name for HELO",
    253,
    |text| {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
        match !text.is_empty() && text.bytes().all(permitted) {
            true => Ok(()),
            false => Err(format!(
                "`{}` is no name for HELO: expected for example `probe.example` or `[10.0.0.1]`",
                crate::shorten(text, 80)
            )),
        }
    }
);

/// Makes the settings of one type: what they have in common, and what only it has.
macro_rules! mail_settings {
    ($(#[$doc:meta])* $type:ident, $word:literal, [$($variable:expr,)*], { $($(#[$field_doc:meta])* $field:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {
            /// Where to connect: `host:port`.
            pub address: HostPort,
            /// When TLS begins: `if_offered` (default), `required`, `never`, or `implicit`, with the connection.
            #[serde(default, skip_serializing_if = "StartTls::is_default")]
            pub starttls: StartTls,
            /// Who logs in, by TLS only; nobody if left out.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub auth: Option<MailLogin>,
            $($(#[$field_doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$of>,)*
            /// How TLS is spoken.
            #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
            pub tls: TlsSettings,
            /// By which way the target is reached.
            #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
            pub route: RouteSettings,
        }

        impl $type {
            /// Visits the server at `address`.
            pub fn visit(address: HostPort, starttls: StartTls) -> Self {
                Self {
                    address,
                    starttls,
                    auth: None,
                    $($field: None,)*
                    tls: TlsSettings::default(),
                    route: RouteSettings::default(),
                }
            }
        }

        impl TypeSettings for $type {
            const EXPECTS: &'static [&'static str] = &["cert_days"];
            const VARIABLES: &'static [Field] = &[
                Field::new("greeting", Type::String, "what the server said first"),
                Field::new("capabilities", TEXTS, "what the server offers, at last"),
                Field::new("encrypted", Type::Bool, "whether there was TLS at the end"),
                Field::new("authenticated", Type::Bool, "whether somebody was logged in"),
                $($variable,)*
            ];

            fn host_port(&self) -> Option<HostPort> {
                Some(self.address.clone())
            }

            fn target_name(&self) -> String {
                self.address.to_string()
            }

            fn validate(&self) -> Result<(), String> {
                validate($word, self.starttls, self.auth.as_ref())
            }

            fn verifies_host(&self) -> bool {
                self.starttls != StartTls::Never && self.tls.verifies_target()
            }
        }
    };
}

mail_settings!(
    /// What an `smtp` check does: hear the greeting, say EHLO, begin TLS, log in where it is told to, and quit.
    SmtpSettings,
    "smtp",
    [Field::new("greeting_code", Type::Int, "the code of the greeting"),],
    {
        /// The name by which the check introduces itself; its address in brackets if left out.
        helo_name: HeloName,
    }
);

mail_settings!(
    /// What an `imap` check does: hear the greeting, ask for capabilities, begin TLS, log in where it is told to, and
    /// log out.
    ImapSettings,
    "imap",
    [],
    {}
);

mail_settings!(
    /// What a `pop3` check does: hear the greeting, ask for capabilities, begin TLS, log in where it is told to, and
    /// quit.
    Pop3Settings,
    "pop3",
    [],
    {}
);

fn validate(key: &str, starttls: StartTls, auth: Option<&MailLogin>) -> Result<(), String> {
    let Some(auth) = auth else { return Ok(()) };
    if starttls == StartTls::Never {
        return Err(format!(
            "`{key}` has `auth` and `starttls: never`: a password goes over TLS only, expected another `starttls`"
        ));
    }
    if auth.password.reveal().contains(char::is_control) {
        return Err(format!("the password of `{key}.auth` holds a control character, which no mail server takes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::Check;

    #[test]
    fn passwords_go_over_tls_only_and_are_not_shown() {
        let check = |more: &str| {
            let json = format!(r#"{{"id": "a", "smtp": {{"address": "a:25"{more}}}}}"#);
            serde_json::from_str::<Check>(&json).map_err(|e| e.to_string())
        };
        let auth = r#", "auth": {"username": "u", "password": "hunter2hunter2"}"#;
        assert!(!format!("{:?}", check(auth).unwrap()).contains("hunter2"));
        assert!(
            check(&format!(r#"{auth}, "starttls": "never""#)).unwrap_err().contains("a password goes over TLS only")
        );
        let broken = auth.replace("hunter2", r"hunter\r\n2");
        assert!(check(&broken).unwrap_err().contains("holds a control character"));
        assert!(check(r#", "helo_name": "a b""#).unwrap_err().contains("is no name for HELO"));
    }
}
