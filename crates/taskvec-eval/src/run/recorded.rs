//! An engine that is not there, for models that have answered everything.

use crate::generator::{
    Completion, EngineError, GenerateRequest, Generator, Likelihood, LikelihoodRequest,
};

/// Stands for an engine whose answers are all in the records: loading a model only to ask it nothing can take long.
/// Asked all the same, it fails.
#[derive(Debug, Clone)]
pub struct Recorded {
    engine: String,
}

impl Recorded {
    /// Stands for the engine that calls itself so.
    #[must_use]
    pub fn new(engine: &str) -> Self {
        Self {
            engine: engine.to_owned(),
        }
    }
}

impl Generator for Recorded {
    fn describe(&self) -> String {
        self.engine.clone()
    }

    fn generate(
        &mut self,
        _: &[GenerateRequest],
        _: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>, EngineError> {
        Err("a model was asked that was not loaded".into())
    }

    fn log_likelihood(
        &mut self,
        _: &[LikelihoodRequest],
        _: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>, EngineError> {
        Err("a model was asked that was not loaded".into())
    }
}
