//! Which server it is, and what it says about the models it serves.

use super::ServerError;
use super::client::Answer;
use serde_json::Value;
use std::path::Path;

/// The server's make, as far as it names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// vLLM.
    Vllm,
    /// SGLang.
    SgLang,
    /// llama.cpp's own server.
    LlamaCpp,
    /// Any other.
    Unknown,
}

impl ServerKind {
    /// A word for it in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::SgLang => "sglang",
            Self::LlamaCpp => "llama.cpp",
            Self::Unknown => "unknown",
        }
    }

    /// `owned_by` of a model is the owner's name at OpenAI, and the server's own at these.
    fn of(owner: &str) -> Self {
        match owner {
            "vllm" => Self::Vllm,
            "sglang" => Self::SgLang,
            "llamacpp" => Self::LlamaCpp,
            _ => Self::Unknown,
        }
    }
}

/// What `/v1/models` says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Catalogue {
    pub(super) kind: ServerKind,
    models: Vec<Model>,
}

#[derive(Debug, Clone, PartialEq)]
struct Model {
    id: String,
    said: Value,
}

impl Catalogue {
    /// Reads the list of models.
    pub(super) fn read(url: &str, body: &Value) -> Result<Self, ServerError> {
        let wrong = |field, expected, got: &Value| ServerError::Field {
            url: url.to_owned(),
            field,
            expected,
            got: super::protocol::described(got),
        };
        let list = &body["data"];
        let entries = list
            .as_array()
            .ok_or_else(|| wrong("data", "a list of models", list))?;
        let mut kind = ServerKind::Unknown;
        let mut models = Vec::new();
        for entry in entries {
            let id = &entry["id"];
            let id = id
                .as_str()
                .ok_or_else(|| wrong("data[].id", "a name", id))?;
            if kind == ServerKind::Unknown {
                kind = ServerKind::of(entry["owned_by"].as_str().unwrap_or_default());
            }
            models.push(Model {
                id: id.to_owned(),
                said: lasting(entry),
            });
        }
        Ok(Self { kind, models })
    }

    /// Reads the answer to a question for the list; a server that has none is of unknown kind and lists nothing.
    /// `transformers serve` fails with 500 where nothing was ever downloaded.
    pub(super) fn of(url: &str, answer: Result<Answer, ServerError>) -> Result<Self, ServerError> {
        match answer {
            Ok(answer) => Self::read(url, &answer.body),
            Err(ServerError::Status {
                status: 404 | 405 | 500 | 501,
                ..
            }) => Ok(Self {
                kind: ServerKind::Unknown,
                models: Vec::new(),
            }),
            Err(error) => Err(error),
        }
    }

    fn names(&self) -> Vec<String> {
        self.models.iter().map(|model| model.id.clone()).collect()
    }

    /// The model to ask for: the one named, or the only one there is.
    ///
    /// A name that is not on the list is refused, because a server that serves one model often answers for it under
    /// any name. A directory is let through where the kind is unknown: `transformers serve` loads what it is asked
    /// for and lists what it has downloaded.
    pub(super) fn choose(&self, url: &str, named: Option<&str>) -> Result<String, ServerError> {
        let known = self.names();
        match (named, known.as_slice()) {
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(ServerError::Unnamed {
                url: url.to_owned(),
                known,
            }),
            (Some(name), []) => Ok(name.to_owned()),
            (Some(name), known) if known.iter().any(|id| id == name) => Ok(name.to_owned()),
            (Some(name), _) if self.kind == ServerKind::Unknown && Path::new(name).is_dir() => {
                Ok(name.to_owned())
            }
            (Some(name), _) => Err(ServerError::UnknownModel {
                url: url.to_owned(),
                model: name.to_owned(),
                known,
            }),
        }
    }

    /// What the server says of a model, without what differs from one question to the next; null where it says nothing.
    pub(super) fn said_of(&self, model: &str) -> Value {
        self.models
            .iter()
            .find(|known| known.id == model)
            .map_or(Value::Null, |known| known.said.clone())
    }

    /// What a server that was started on one model calls it.
    pub(super) fn only_of_kind(&self) -> Option<&str> {
        match self.models.as_slice() {
            [only] if self.kind != ServerKind::Unknown => Some(&only.id),
            _ => None,
        }
    }
}

/// An entry without the time at which it was made, which for most servers is the time of the question, and without
/// permissions, whose names are random.
fn lasting(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        for field in ["created", "permission", "status", "in_cache"] {
            fields.shift_remove(field);
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalogue(owner: &str, ids: &[&str]) -> Catalogue {
        let models: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id, "owned_by": owner, "created": 17}))
            .collect();
        Catalogue::read("u", &json!({"object": "list", "data": models})).unwrap()
    }

    #[test]
    fn servers_name_themselves() {
        assert_eq!(catalogue("vllm", &["m"]).kind, ServerKind::Vllm);
        assert_eq!(catalogue("sglang", &["m"]).kind, ServerKind::SgLang);
        assert_eq!(catalogue("llamacpp", &["m"]).kind, ServerKind::LlamaCpp);
        assert_eq!(catalogue("me", &["m"]).kind, ServerKind::Unknown);
    }

    #[test]
    fn the_only_model_needs_no_name_and_a_wrong_name_is_refused() {
        let one = catalogue("vllm", &["m"]);
        assert_eq!(one.choose("u", None).unwrap(), "m");
        assert_eq!(one.choose("u", Some("m")).unwrap(), "m");
        assert!(matches!(
            one.choose("u", Some("n")).unwrap_err(),
            ServerError::UnknownModel { .. }
        ));
        assert!(matches!(
            one.choose("u", Some("/tmp")).unwrap_err(),
            ServerError::UnknownModel { .. }
        ));
        let two = catalogue("openai", &["m", "n"]);
        assert!(matches!(
            two.choose("u", None).unwrap_err(),
            ServerError::Unnamed { .. }
        ));
        assert_eq!(two.choose("u", Some("/tmp")).unwrap(), "/tmp");
        assert_eq!(catalogue("x", &[]).choose("u", Some("m")).unwrap(), "m");
    }

    #[test]
    fn what_is_said_of_a_model_does_not_depend_on_when_it_was_asked() {
        let read = |created: u32| {
            Catalogue::read(
                "u",
                &json!({"data": [{"id": "m", "created": created, "root": "/a"}]}),
            )
            .unwrap()
            .said_of("m")
        };
        assert_eq!(read(1), read(2));
        assert_eq!(read(1), json!({"id": "m", "root": "/a"}));
    }
}
