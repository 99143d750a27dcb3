use std::fmt;
use std::path::Path;

use crate::adapter::OLD_WEIGHTS_FILE;

/// A format of weights other than safetensors, told by the file's name.
///
/// None of them is read. PyTorch's files are pickles, which are programs: reading one safely needs an
/// interpreter that refuses most of them, while converting once needs three lines where the file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightFormat {
    /// `.bin`, `.pt`, `.pth`, `.ckpt`.
    PyTorch,
    /// `.gguf`, `.ggml`.
    Gguf,
    /// `.h5`, `.keras`.
    Keras,
    /// `.msgpack`.
    Flax,
    /// `.npz`, `.npy`.
    NumPy,
    /// `.onnx`.
    Onnx,
}

impl WeightFormat {
    /// The format that the name of `path` speaks of.
    pub fn of(path: &Path) -> Option<WeightFormat> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "bin" | "pt" | "pth" | "ckpt" => Some(WeightFormat::PyTorch),
            "gguf" | "ggml" => Some(WeightFormat::Gguf),
            "h5" | "keras" => Some(WeightFormat::Keras),
            "msgpack" => Some(WeightFormat::Flax),
            "npz" | "npy" => Some(WeightFormat::NumPy),
            "onnx" => Some(WeightFormat::Onnx),
            _ => None,
        }
    }

    /// How to come to safetensors from the file at `path`.
    pub(crate) fn conversion(self, path: &Path) -> &'static str {
        let of_adapter = path
            .file_name()
            .is_some_and(|name| name == OLD_WEIGHTS_FILE);
        match self {
            WeightFormat::PyTorch if of_adapter => {
                r#"convert it in its directory DIR: `python -c 'import sys, torch; from safetensors.torch import save_file; d = sys.argv[1]; t = torch.load(d + "/adapter_model.bin", map_location="cpu", weights_only=True); save_file({k: v.clone() for k, v in t.items()}, d + "/adapter_model.safetensors")' DIR`"#
            }
            WeightFormat::PyTorch => {
                r#"convert its directory DIR to OUT: `python -c 'import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; d, o = sys.argv[1:]; M.from_pretrained(d, dtype="auto").save_pretrained(o); T.from_pretrained(d).save_pretrained(o)' DIR OUT`"#
            }
            WeightFormat::Gguf => {
                "GGUF weights are usually quantised; use the safetensors checkpoint that the file was converted from"
            }
            WeightFormat::Keras | WeightFormat::Flax => {
                "convert it with transformers: `AutoModelForCausalLM.from_pretrained(DIR, from_tf=True)` or `from_flax=True`, then `save_pretrained(OUT)`"
            }
            WeightFormat::NumPy => {
                "convert it with `safetensors.numpy.save_file(dict(numpy.load(FILE)), \"model.safetensors\")`"
            }
            WeightFormat::Onnx => "use the safetensors checkpoint that the file was exported from",
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WeightFormat::PyTorch => "a PyTorch pickle",
            WeightFormat::Gguf => "a GGUF file",
            WeightFormat::Keras => "a Keras file",
            WeightFormat::Flax => "a Flax file",
            WeightFormat::NumPy => "a NumPy file",
            WeightFormat::Onnx => "an ONNX file",
        })
    }
}
