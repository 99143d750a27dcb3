//! Slices: which layers of which models stand where in the result.

use std::collections::BTreeMap;

use super::config::{Config, Model, Slice, Source};
use super::error::ConfigProblem;
use super::fields::invalid;
use super::yaml::Fault;
use crate::checkpoint::{Checkpoint, Library, stands_before_layers};
use crate::error::Result;
use crate::method::MOST_LAYERS;
use crate::reference::Reference;
use crate::statistics::LayerName;

/// The models of a file's slices, opened: headers only.
pub(super) struct Models {
    opened: BTreeMap<Reference, Checkpoint>,
}

impl Models {
    /// Opens the donor of the config, and where layers are counted every source.
    pub(super) fn open(config: &Config, donor: &Model, library: &Library) -> Result<Self> {
        let mut opened = BTreeMap::new();
        let counted = config
            .slices
            .iter()
            .flat_map(|slice| &slice.sources)
            .filter(|source| source.layers.is_some())
            .map(|source| &source.model);
        for model in [donor].into_iter().chain(counted) {
            if !opened.contains_key(&model.reference) {
                let checkpoint = Checkpoint::open(&model.reference, library)?;
                opened.insert(model.reference.clone(), checkpoint);
            }
        }
        Ok(Self { opened })
    }

    pub(super) fn tensors(&self, model: &Model) -> Vec<String> {
        let opened = self.opened.get(&model.reference);
        opened
            .into_iter()
            .flat_map(|checkpoint| checkpoint.tensors().keys().cloned())
            .collect()
    }

    pub(super) fn depth(&self, model: &Model) -> u32 {
        self.opened
            .get(&model.reference)
            .map_or(0, Checkpoint::depth)
    }

    fn layer_lists(&self, model: &Model) -> Vec<String> {
        let opened = self.opened.get(&model.reference);
        opened.map_or_else(Vec::new, Checkpoint::layer_lists)
    }

    /// Whether a source is all of its model.
    fn is_whole(&self, source: &Source) -> bool {
        source
            .layers
            .is_none_or(|(first, end)| (first, end) == (0, self.depth(&source.model)))
    }

    /// Checks that sources have the layers that are asked of them, and those of a slice equally many.
    pub(super) fn check(&self, slices: &[Slice]) -> std::result::Result<(), Fault> {
        let mut layers: u64 = 0;
        for slice in slices {
            self.check_slice(slice)?;
            let (first, end) = slice.sources[0].layers.unwrap_or_default();
            layers += u64::from(end - first);
            if layers > u64::from(MOST_LAYERS) {
                let reason = format!(
                    "the result has {layers} layers up to here; at most {MOST_LAYERS} are possible"
                );
                return Err(invalid(slice.at, reason));
            }
        }
        Ok(())
    }

    fn check_slice(&self, slice: &Slice) -> std::result::Result<(), Fault> {
        let mut first_count: Option<(u32, &Source)> = None;
        for source in &slice.sources {
            let Some((first, end)) = source.layers else {
                continue;
            };
            let lists = self.layer_lists(&source.model);
            if lists.len() > 1 {
                let model = source.model.to_string();
                return Err((
                    source.layers_at,
                    ConfigProblem::SeveralLists { model, lists },
                ));
            }
            let depth = self.depth(&source.model);
            if end > depth {
                let problem = ConfigProblem::NoSuchLayers {
                    range: (first, end),
                    model: source.model.to_string(),
                    depth,
                };
                return Err((source.layers_at, problem));
            }
            match first_count {
                None => first_count = Some((end - first, source)),
                Some((count, other)) if count != end - first => {
                    let problem = ConfigProblem::UnequalRanges {
                        left: (other.model.to_string(), other.layers.unwrap_or_default()),
                        right: (source.model.to_string(), (first, end)),
                    };
                    return Err((source.layers_at, problem));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What stands for a source in an expression, `name` standing for its model.
    pub(super) fn written(&self, source: &Source, name: String) -> String {
        match source.layers {
            Some((first, end)) if !self.is_whole(source) => {
                let layers: Vec<u32> = (first..end).collect();
                format!("layers({name}, \"{}\")", ranges(&layers))
            }
            _ => name,
        }
    }

    /// The donor with as many layers as the result, so that it can stand beside it; `name` stands for it.
    pub(super) fn donor_beside(&self, config: &Config, donor: &Model, name: &str) -> String {
        let depth = self.depth(donor);
        let mut layers = Vec::new();
        for slice in &config.slices {
            let own = slice.sources.iter().find(|source| source.model.is(donor));
            let Some((first, end)) = own.unwrap_or(&slice.sources[0]).layers else {
                return name.to_owned();
            };
            layers.extend((first..end).map(|layer| layer.min(depth.saturating_sub(1))));
        }
        if layers.iter().copied().eq(0..depth) {
            name.to_owned()
        } else {
            format!("layers({name}, \"{}\")", ranges(&layers))
        }
    }

    /// Names of a slice's tensors as an expression has them there: its layers counted from 0, what stands before the
    /// layers with the first slice, what stands behind them with the last.
    pub(super) fn tensors_of(&self, config: &Config, donor: &Model, index: usize) -> Vec<String> {
        let source = &config.slices[index].sources[0];
        let Some((first, end)) = source.layers else {
            return self.tensors(donor);
        };
        let is_last = index + 1 == config.slices.len();
        let mut names = Vec::new();
        for name in self.tensors(&source.model) {
            match LayerName::of(&name) {
                Some(parts) if (first..end).contains(&parts.layer) => {
                    names.push(parts.at(parts.layer - first));
                }
                Some(_) => {}
                None => {
                    let belongs = if stands_before_layers(&name) {
                        index == 0
                    } else {
                        is_last
                    };
                    if belongs {
                        names.push(name);
                    }
                }
            }
        }
        names
    }
}

/// Layers as `layers` takes them: `0-15, 8-23`.
fn ranges(layers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &layer in layers {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(layer) => *last = layer,
            _ => parts.push((layer, layer)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn layers_are_written_as_ranges() {
        for (layers, text) in [
            (&[0, 1, 2][..], "0-2"),
            (&[3], "3"),
            (&[0, 1, 1, 2, 5, 4], "0-1, 1-2, 5, 4"),
            (&[], ""),
        ] {
            assert_eq!(ranges(layers), text);
        }
    }
}
