//! The decoder's trainable tensors as one flat vector, which is what optimisers and resume files work on.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::decoder::Decoder;
use crate::{Error, Result};

/// One trainable tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its path in [`Decoder`], such as `layers.0.query.weight`.
    pub name: String,
    /// Its shape there, which for projections is the transpose of Hugging Face's.
    pub shape: Vec<usize>,
    /// Its place in the flat vector.
    pub range: Range<usize>,
}

impl Parameter {
    /// Whether weight decay applies: to matrices, not to the weights of norms nor to biases, as in
    /// transformers' trainer.
    #[must_use]
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The trainable tensors of a decoder in the order of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    entries: Vec<Parameter>,
    count: usize,
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Survey {
    path: Path,
    entries: Vec<Parameter>,
    count: usize,
}

impl ModuleVisitor for Survey {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.val().dims().to_vec();
        let end = self.count + shape.iter().product::<usize>();
        self.entries.push(Parameter {
            name: self.path.name(),
            shape,
            range: self.count..end,
        });
        self.count = end;
    }
}

impl Parameters {
    /// The trainable tensors of `decoder`.
    #[must_use]
    pub fn of(decoder: &Decoder) -> Self {
        let mut survey = Survey {
            path: Path::default(),
            entries: Vec::new(),
            count: 0,
        };
        decoder.visit(&mut survey);
        Self {
            entries: survey.entries,
            count: survey.count,
        }
    }

    /// Elements of all tensors together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The tensors.
    #[must_use]
    pub fn entries(&self) -> &[Parameter] {
        &self.entries
    }

    /// Copies the weights of `decoder` out.
    ///
    /// # Errors
    ///
    /// [`Error::ReadTensor`] where the device cannot be read.
    pub fn read(&self, decoder: &Decoder) -> Result<Vec<f32>> {
        let mut reader = Reader {
            parameters: self,
            next: 0,
            values: vec![0.0; self.count],
            problem: None,
        };
        decoder.visit(&mut reader);
        reader.problem.map_or(Ok(reader.values), Err)
    }

    /// `decoder` with these weights, on `device`, without gradients.
    #[must_use]
    pub fn install(&self, decoder: &Decoder, values: &[f32], device: &Device) -> Decoder {
        let mut writer = Writer {
            parameters: self,
            next: 0,
            values,
            device,
        };
        decoder.clone().map(&mut writer)
    }

    /// Copies the gradients of `tracked` out of a backward pass.
    ///
    /// # Errors
    ///
    /// [`Error::NoGradient`] for a tensor the loss does not depend on: an operation has lost its gradient.
    pub fn read_gradients(&self, tracked: &Decoder, gradients: &mut Gradients) -> Result<Vec<f32>> {
        let mut reader = GradientReader {
            parameters: self,
            next: 0,
            gradients,
            values: vec![0.0; self.count],
            problem: None,
        };
        tracked.visit(&mut reader);
        reader.problem.map_or(Ok(reader.values), Err)
    }
}

/// `decoder` with every tensor a leaf of a new graph that wants a gradient. Shares the weights' memory.
///
/// Fresh leaves for each slice, because graphs that share a leaf are merged behind one lock by burn, and
/// parallel backward passes would wait for each other.
#[must_use]
pub fn track(decoder: &Decoder) -> Decoder {
    decoder.clone().map(&mut Tracker)
}

struct Tracker;

impl ModuleMapper for Tracker {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = param.consume();
        Param::initialized(id, value.without_autodiff().autodiff().require_grad())
    }
}

fn copy<const D: usize>(name: &str, tensor: Tensor<D>, into: &mut [f32]) -> Result<()> {
    let unreadable = |reason: String| Error::ReadTensor {
        tensor: name.to_owned(),
        reason,
    };
    let data = tensor
        .try_into_data()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    let values = data
        .as_slice::<f32>()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    into.copy_from_slice(values);
    Ok(())
}

struct Reader<'a> {
    parameters: &'a Parameters,
    next: usize,
    values: Vec<f32>,
    problem: Option<Error>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let entry = &self.parameters.entries[self.next];
        self.next += 1;
        let into = &mut self.values[entry.range.clone()];
        if let Err(problem) = copy(&entry.name, param.val().without_autodiff(), into) {
            self.problem.get_or_insert(problem);
        }
    }
}

struct Writer<'a> {
    parameters: &'a Parameters,
    next: usize,
    values: &'a [f32],
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let entry = &self.parameters.entries[self.next];
        self.next += 1;
        let values = self.values[entry.range.clone()].to_vec();
        let data = TensorData::new(values, entry.shape.clone());
        Param::initialized(param.id, Tensor::from_data(data, self.device))
    }
}

struct GradientReader<'a> {
    parameters: &'a Parameters,
    next: usize,
    gradients: &'a mut Gradients,
    values: Vec<f32>,
    problem: Option<Error>,
}

impl ModuleVisitor for GradientReader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let entry = &self.parameters.entries[self.next];
        self.next += 1;
        let outcome = match param.val().grad_remove(self.gradients) {
            Some(gradient) => copy(&entry.name, gradient, &mut self.values[entry.range.clone()]),
            None => Err(Error::NoGradient {
                tensor: entry.name.clone(),
            }),
        };
        if let Err(problem) = outcome {
            self.problem.get_or_insert(problem);
        }
    }
}
