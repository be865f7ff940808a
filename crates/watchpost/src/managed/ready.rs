//! What makes a server of our own of use to other commands at once.

use watchpost_bus::NatsOptions;
use watchpost_model::SubjectPrefix;

use super::Managed;
use crate::cli::SetupArgs;
use crate::commands::bus;
use crate::config::{Context, ContextName, Contexts};
use crate::failure::Failure;
use crate::remote::{Connection, Remote};

/// What its bus is called among the contexts of the commands that control bastions.
const CONTEXT: &str = "managed";

impl Managed {
    /// Makes the bucket and the streams, which nobody else will, and notes the server among the contexts.
    ///
    /// # Errors
    /// When they cannot be made. A context that cannot be written is told, and hinders nothing.
    pub async fn prepare(
        &self,
        options: &NatsOptions,
        prefix: &SubjectPrefix,
        bucket: Option<String>,
    ) -> Result<(), Failure> {
        if let Some(bucket) = bucket {
            let (options, prefix) = (options.clone(), prefix.clone());
            let remote = Remote::over(Connection { options, prefix, bucket, group: None }).await?;
            bus::ensure(&remote, &SetupArgs::default()).await?;
            remote.close().await;
        }
        match self.note_context(prefix) {
            Ok(()) => tracing::info!(context = CONTEXT, "ready for `watchpost checks apply` and the like"),
            Err(error) => {
                tracing::warn!(error, "other commands do not know of this server: give them its URL as --bus")
            }
        }
        Ok(())
    }

    /// The context is the one that counts where the user has chosen no other.
    fn note_context(&self, prefix: &SubjectPrefix) -> Result<(), String> {
        let name: ContextName = CONTEXT.parse()?;
        let (user, password) = self.user_and_password();
        let context = Context {
            servers: vec![self.url()],
            user: Some(user.to_owned()),
            password: Some(password.parse().map_err(|e| format!("{e}"))?),
            prefix: Some(prefix.clone()).filter(|prefix| *prefix != SubjectPrefix::default()),
            ..Context::default()
        };
        let mut contexts = Contexts::load().map_err(|e| e.to_string())?;
        if contexts.contexts.get(&name) != Some(&context) || contexts.current.is_none() {
            contexts.contexts.insert(name.clone(), context);
            contexts.current.get_or_insert(name);
            contexts.save().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
