//! The engine: requests spread over connections, tried again where that may help.

use super::client::{Answer, Client, Fault};
use super::endpoint::{ApiKey, BaseUrl};
use super::likelihood::{self, Form, Token};
use super::patience::{Gate, backoff};
use super::server::Catalogue;
use super::{ServerError, ServerKind, protocol, token_probabilities};
use crate::generator::{
    Completion, EngineError, Finish, GenerateRequest, Generator, Likelihood, LikelihoodRequest,
    Prompt,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How a server is asked.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// What opens it, where it is locked.
    pub key: Option<ApiKey>,
    /// Requests under way at once.
    pub concurrency: NonZeroUsize,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a request that failed in passing is tried, the first time included.
    pub tries: u32,
    /// The longest wait that a server may ask for.
    pub longest_wait: Duration,
    /// The largest answer that is read.
    pub max_body_bytes: u64,
}

impl Default for OpenAiOptions {
    /// 16 requests at once, ten minutes each, six tries, waits of up to five minutes, 64 MiB.
    fn default() -> Self {
        Self {
            key: None,
            concurrency: NonZeroUsize::MIN.saturating_add(15),
            timeout: Duration::from_secs(600),
            tries: 6,
            longest_wait: Duration::from_secs(300),
            max_body_bytes: 64 << 20,
        }
    }
}

/// A model on a server that speaks the OpenAI protocol.
///
/// # Guarantees
///
/// Requests that fail in passing (no connection, an answer cut short, status 408, 425, 429, 500, 502 to 504, 520 to
/// 529) are tried again, after a wait that grows and heeds the server's own wishes. Any other failure, and the last
/// of several tries, ends the run: what is under way is finished and handed to `on_done`, nothing more is asked.
/// Redirections are not followed.
#[derive(Debug)]
pub struct OpenAi {
    client: Client,
    options: OpenAiOptions,
    model: String,
    catalogue: Catalogue,
    /// The server's address.
    address: String,
    /// The command that started it, which stands for it in records: the address differs from run to run.
    started_by: Option<String>,
    form: Option<Form>,
    /// Whether answers of a path say how likely their tokens were, of the paths that were asked.
    gives_token_probabilities: BTreeMap<&'static str, bool>,
}

impl OpenAi {
    /// Asks the server at `base_url` for its models, and chooses `model` among them, or the only one there is.
    ///
    /// # Errors
    ///
    /// An address that is none, a server that does not answer or does not know the key, and a model that it does not
    /// serve.
    pub fn connect(
        base_url: &str,
        model: Option<&str>,
        options: OpenAiOptions,
    ) -> Result<Self, ServerError> {
        Self::open(base_url, options, |catalogue, url| {
            catalogue.choose(url, model)
        })
    }

    /// The server that was started on the model directory `model` by `command`, which stands for it in records: the
    /// port differs from run to run.
    ///
    /// # Errors
    ///
    /// As [`OpenAi::connect`].
    pub fn started(
        base_url: &str,
        model: &str,
        command: &str,
        options: OpenAiOptions,
    ) -> Result<Self, ServerError> {
        let mut engine = Self::open(base_url, options, |catalogue, _| {
            Ok(catalogue.only_of_kind().unwrap_or(model).to_owned())
        })?;
        engine.started_by = Some(command.to_owned());
        Ok(engine)
    }

    fn open(
        base_url: &str,
        options: OpenAiOptions,
        choose: impl FnOnce(&Catalogue, &str) -> Result<String, ServerError>,
    ) -> Result<Self, ServerError> {
        let base = BaseUrl::parse(base_url)?;
        let address = base.to_string();
        let client = Client::new(
            base,
            options.key.clone(),
            options.concurrency.get(),
            options.timeout,
            options.max_body_bytes,
        );
        let url = client.base.path("/models");
        let listed = Patient::new(&client, &options).ask(0, || {
            client.get(&url).map_err(|fault| match fault.error {
                // For this question it means that there is no answer, not that one comes later.
                error @ ServerError::Status { status: 500, .. } => Fault::lasting(error),
                _ => fault,
            })
        });
        let catalogue = Catalogue::of(&url, listed)?;
        let model = choose(&catalogue, &address)?;
        Ok(Self {
            client,
            options,
            model,
            catalogue,
            address,
            started_by: None,
            form: None,
            gives_token_probabilities: BTreeMap::new(),
        })
    }

    /// The server's make.
    #[must_use]
    pub fn kind(&self) -> ServerKind {
        self.catalogue.kind
    }

    /// What the server calls the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// SHA-256 of all that is known of what is asked: the address, the model's name and what the server says of it.
    ///
    /// Not known are the weights. A server that was started again on others under the same name has the same
    /// fingerprint, unless it tells their path, size or number.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let server = self.started_by.as_ref().unwrap_or(&self.address);
        let known = json!([server, self.model, self.catalogue.said_of(&self.model)]);
        let digest = Sha256::digest(known.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Which form the server gives likelihoods in, found by asking once.
    fn likelihood_form(&mut self) -> Result<Form, ServerError> {
        if let Some(form) = self.form {
            return Ok(form);
        }
        let url = self.client.base.path("/completions");
        let patient = Patient::new(&self.client, &self.options);
        let mut said = String::new();
        for form in [Form::Echo, Form::Prompt] {
            let body = form.request(&self.model, "One two three");
            match patient.ask(0, || self.client.post(&url, &body)) {
                Ok(answer) => match form.tokens(&url, &answer.body) {
                    // An answer that merely ignores what it does not know has no tokens of the prompt.
                    Ok(tokens) if tokens.len() > 1 => {
                        self.form = Some(form);
                        return Ok(form);
                    }
                    Ok(_) => {}
                    Err(error) => said = self.client.shown(&error.to_string()),
                },
                Err(ServerError::Status {
                    status: 400 | 404 | 405 | 422 | 501,
                    said: complaint,
                    ..
                }) => {
                    if !complaint.is_empty() {
                        said = complaint;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(ServerError::NoPromptProbabilities { url, said })
    }

    /// Finds out, by asking once for each path, whether answers to `requests` will say how likely their tokens were.
    fn learn_token_probabilities(
        &mut self,
        requests: &[GenerateRequest],
    ) -> Result<(), ServerError> {
        for request in requests {
            let path = protocol::path(&request.prompt);
            if !token_probabilities::are_wanted(request)
                || self.gives_token_probabilities.contains_key(path)
            {
                continue;
            }
            let probe = token_probabilities::probe(&request.prompt);
            let mut body = self.body(&probe)?;
            token_probabilities::ask_for(&mut body, &probe.prompt);
            let url = self.client.base.path(path);
            let asked = Patient::new(&self.client, &self.options).ask(0, || {
                self.client
                    .post(&url, &body)
                    .map_err(|fault| match fault.error {
                        // Servers that do not know the field fail over it as well as refuse it.
                        error @ ServerError::Status { status: 500, .. } => Fault::lasting(error),
                        _ => fault,
                    })
            });
            let gives = match asked {
                Ok(answer) => protocol::generated_tokens(&url, &answer.body)
                    .ok()
                    .and_then(|count| token_probabilities::mean(&answer.body, &probe, count))
                    .is_some(),
                // Where a question without the field fails too, its own failure says more.
                Err(ServerError::Status { .. } | ServerError::NotJson { .. }) => false,
                Err(error) => return Err(error),
            };
            self.gives_token_probabilities.insert(path, gives);
        }
        Ok(())
    }

    fn body(&self, request: &GenerateRequest) -> Result<Value, ServerError> {
        protocol::completion_request(&self.address, self.catalogue.kind, &self.model, request)
    }

    fn complete(
        &self,
        patient: &Patient<'_>,
        index: usize,
        request: &GenerateRequest,
    ) -> Result<Completion, ServerError> {
        if request.max_new_tokens == 0 {
            return Ok(Completion {
                text: String::new(),
                token_count: 0,
                mean_log_probability: None,
                finish: Finish::Length,
            });
        }
        let path = protocol::path(&request.prompt);
        let mut body = self.body(request)?;
        let gives = token_probabilities::are_wanted(request)
            && self.gives_token_probabilities.get(path) == Some(&true);
        if gives {
            token_probabilities::ask_for(&mut body, &request.prompt);
        }
        let url = self.client.base.path(path);
        let answer = patient.ask(index, || self.client.post(&url, &body))?;
        let mut completion = protocol::completion(&url, request, &answer.body)?;
        if gives {
            completion.mean_log_probability =
                token_probabilities::mean(&answer.body, request, completion.token_count);
        }
        Ok(completion)
    }

    /// The likelihood of each continuation of one prompt.
    fn score(
        &self,
        patient: &Patient<'_>,
        form: Form,
        index: usize,
        prompt: &str,
        continuations: &[&str],
    ) -> Result<Vec<Likelihood>, ServerError> {
        let url = self.client.base.path("/completions");
        let tokens = |text: &str| -> Result<Vec<Token>, ServerError> {
            if text.is_empty() {
                return Ok(Vec::new());
            }
            let body = form.request(&self.model, text);
            let answer = patient.ask(index, || self.client.post(&url, &body))?;
            form.tokens(&url, &answer.body)
        };
        let before = tokens(prompt)?;
        continuations
            .iter()
            .map(|continuation| {
                likelihood::beyond(&url, &before, &tokens(&format!("{prompt}{continuation}"))?)
            })
            .collect()
    }

    /// Does `count` pieces of work on as many threads as may ask at once, and hands results over as they come.
    fn spread<T: Send>(
        &self,
        count: usize,
        work: impl Fn(&Patient<'_>, usize) -> Result<T, ServerError> + Sync,
        mut receive: impl FnMut(usize, T),
    ) -> Result<(), ServerError> {
        let patient = Patient::new(&self.client, &self.options);
        let next = AtomicUsize::new(0);
        let (sender, results) = mpsc::channel();
        let mut failure = None;
        std::thread::scope(|scope| {
            for _ in 0..self.options.concurrency.get().min(count) {
                let (sender, next, patient, work) = (sender.clone(), &next, &patient, &work);
                scope.spawn(move || {
                    while !patient.ended.load(Ordering::SeqCst) {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        if index >= count {
                            break;
                        }
                        let result = work(patient, index);
                        let failed = result.is_err();
                        // Nobody listens only where the receiver's thread panics.
                        let _ = sender.send((index, result));
                        // After the reason was sent, so that those called off cannot come before it.
                        if failed {
                            patient.ended.store(true, Ordering::SeqCst);
                        }
                    }
                });
            }
            drop(sender);
            for (index, result) in results {
                match result {
                    Ok(result) => receive(index, result),
                    // The first is the reason.
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }
}

impl Generator for OpenAi {
    /// The protocol, the server's make, its address and the model's name there; for a server that was started here,
    /// the command instead of the address.
    fn describe(&self) -> String {
        let (version, kind) = (env!("CARGO_PKG_VERSION"), self.catalogue.kind.name());
        match &self.started_by {
            Some(command) => format!("taskvec {version} openai ({kind}, `{command}`)"),
            None => format!(
                "taskvec {version} openai ({kind}, {}, {})",
                self.address, self.model
            ),
        }
    }

    fn generate(
        &mut self,
        requests: &[GenerateRequest],
        on_done: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>, EngineError> {
        for request in requests {
            request.sampling.check()?;
        }
        self.learn_token_probabilities(requests)?;
        let mut completions: Vec<Option<Completion>> = vec![None; requests.len()];
        self.spread(
            requests.len(),
            |patient, index| self.complete(patient, index, &requests[index]),
            |index, completion| {
                on_done(index, &completion);
                completions[index] = Some(completion);
            },
        )?;
        Ok(completions.into_iter().flatten().collect())
    }

    fn log_likelihood(
        &mut self,
        requests: &[LikelihoodRequest],
        on_done: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>, EngineError> {
        // Continuations of one prompt stand together, so that the prompt's own tokens are asked for once.
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let Prompt::Text(prompt) = &request.prompt else {
                return Err(ServerError::ChatLikelihood {
                    url: self.address.clone(),
                }
                .into());
            };
            match groups.last_mut() {
                Some((last, members)) if last == prompt => members.push(index),
                _ => groups.push((prompt, vec![index])),
            }
        }
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let form = self.likelihood_form()?;
        let mut likelihoods: Vec<Option<Likelihood>> = vec![None; requests.len()];
        self.spread(
            groups.len(),
            |patient, group| {
                let (prompt, members) = &groups[group];
                let continuations: Vec<&str> = members
                    .iter()
                    .map(|&index| requests[index].continuation.as_str())
                    .collect();
                self.score(patient, form, group, prompt, &continuations)
            },
            |group, results| {
                for (&index, likelihood) in groups[group].1.iter().zip(results) {
                    on_done(index, &likelihood);
                    likelihoods[index] = Some(likelihood);
                }
            },
        )?;
        Ok(likelihoods.into_iter().flatten().collect())
    }
}

/// Asks as often as it takes, within reason.
#[derive(Debug)]
struct Patient<'a> {
    options: &'a OpenAiOptions,
    gate: Gate,
    /// Set once some request has failed for good.
    ended: AtomicBool,
    jitter: u64,
    client: &'a Client,
}

impl<'a> Patient<'a> {
    fn new(client: &'a Client, options: &'a OpenAiOptions) -> Self {
        Self {
            options,
            gate: Gate::new(),
            ended: AtomicBool::new(false),
            jitter: u64::from(std::process::id()),
            client,
        }
    }

    fn ask(
        &self,
        index: usize,
        request: impl Fn() -> Result<Answer, Fault>,
    ) -> Result<Answer, ServerError> {
        let mut earliest = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            if !self.gate.pass(earliest, &self.ended) {
                return Err(ServerError::Unreachable {
                    url: self.client.base.to_string(),
                    source: "another request failed for good".into(),
                });
            }
            let fault = match request() {
                Ok(answer) => {
                    if let Some(wait) = answer.limits.exhausted_for {
                        self.gate.close_for(wait.min(self.options.longest_wait));
                    }
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            if !fault.passes {
                return Err(fault.error);
            }
            if tries >= self.options.tries {
                return Err(match tries {
                    1 => fault.error,
                    tries => ServerError::GaveUp {
                        tries,
                        source: Box::new(fault.error),
                    },
                });
            }
            if let Some(wait) = fault.wait {
                if wait > self.options.longest_wait {
                    return Err(ServerError::Busy {
                        url: self.client.base.to_string(),
                        wait,
                        limit: self.options.longest_wait,
                    });
                }
                self.gate.close_for(wait);
            }
            earliest = Instant::now()
                + backoff(tries, self.jitter ^ ((index as u64) << 32))
                    .max(fault.wait.unwrap_or_default());
        }
    }
}
