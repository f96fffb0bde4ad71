//! What a method is shown in place of the whole run, by what stands among its parameters.

use std::{path::PathBuf, sync::Arc};

use attribench_core::{AccessLevel, EncoderEntry, Instrumentation, MethodEntry};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{files::encoder::TextEncoder, known_part::KnownShare, spec::Named};

/// A part of the run, another run, or its texts as an encoder reads them.
pub(crate) struct Shown {
    /// What is logged of the run, all by default.
    pub log: Instrumentation,
    /// Share of the examples.
    pub known: Option<KnownShare>,
    /// Model that is trained and looked into instead.
    pub proxy: Option<Named>,
    /// Encoder before the inputs.
    pub encoder: Option<Arc<TextEncoder>>,
}

impl Shown {
    /// Takes `logged`, `known`, `proxy` and `encoder` out of a method's parameters.
    ///
    /// # Errors
    /// When the method cannot be shown such a thing, or two that do not go together.
    pub fn take(
        parameters: &mut Value,
        entry: &MethodEntry,
        encoders: &[EncoderEntry],
    ) -> Result<Self, String> {
        let log = take_log(parameters, entry.level)?;
        let known = take_known(parameters, entry)?;
        let proxy = take_proxy(parameters, entry)?;
        let encoder = take_encoder(parameters, entry, encoders)?;
        if proxy.is_some() && !(log.is_whole() && known.is_none()) {
            return Err(
                "it looks into a part of a proxy\nhint: leave out `logged` and `known`".into()
            );
        }
        if encoder.is_some() && known.is_some() {
            return Err("an encoder is shown all of the data\nhint: leave out `known`".into());
        }
        Ok(Self { log, known, proxy, encoder })
    }

    /// Whether it is all of the run and nothing else.
    pub fn is_whole(&self) -> bool {
        let Self { log, known, proxy, encoder } = self;
        log.is_whole() && known.is_none() && proxy.is_none() && encoder.is_none()
    }
}

/// Takes a parameter out of others.
fn take<P: DeserializeOwned>(parameters: &mut Value, name: &str) -> Result<Option<P>, String> {
    let Some(value) = parameters.as_object_mut().and_then(|map| map.remove(name)) else {
        return Ok(None);
    };
    serde_json::from_value(value).map(Some).map_err(|error| format!("`{name}`: {error}"))
}

fn take_log(parameters: &mut Value, level: AccessLevel) -> Result<Instrumentation, String> {
    let Some(log) = take(parameters, "logged")? else { return Ok(Instrumentation::default()) };
    match level {
        AccessLevel::FullTrace => Ok(log),
        _ => Err(format!(
            "`logged` is for methods that read the full trace, and this one reads {level}\n\
             hint: leave it out"
        )),
    }
}

fn take_known(parameters: &mut Value, entry: &MethodEntry) -> Result<Option<KnownShare>, String> {
    let known = take(parameters, "known")?;
    if known.is_some() && (entry.level > AccessLevel::FinalModel || entry.retrains) {
        let level = entry.level;
        return Err(format!(
            "`known` is for methods that read no more than final weights, and this one reads \
             {level}{}\nhint: leave it out",
            if entry.retrains { " and trains again" } else { "" }
        ));
    }
    Ok(known)
}

fn take_proxy(parameters: &mut Value, entry: &MethodEntry) -> Result<Option<Named>, String> {
    let proxy = take(parameters, "proxy")?;
    if proxy.is_some() && (entry.level == AccessLevel::BlackBox || entry.retrains) {
        let reads = if entry.retrains { "trains again" } else { "looks into no model" };
        return Err(format!(
            "`proxy` is a model to look into, and this method {reads}\nhint: leave it out"
        ));
    }
    Ok(proxy)
}

fn take_encoder(
    parameters: &mut Value,
    entry: &MethodEntry,
    encoders: &[EncoderEntry],
) -> Result<Option<Arc<TextEncoder>>, String> {
    let Some(folder) = take::<PathBuf>(parameters, "encoder")? else { return Ok(None) };
    if !entry.compares_inputs {
        return Err("`encoder` is for methods that compare inputs and read nothing else of an \
                    example\nhint: `input-similarity` is such a method"
            .into());
    }
    let encoder = TextEncoder::load(&folder, encoders);
    encoder.map(|encoder| Some(Arc::new(encoder))).map_err(|error| format!("`encoder`: {error}"))
}
