//! Expressions whose layers stand in other places than those of their checkpoints.
//!
//! `layers` and `stack` compute nothing. What stands inside of them is elaborated in a place: a map that says of each
//! layer of the result which layer of the inside it is. A checkpoint that is named there is taken through the map, as a
//! view that has its tensors under the names of the result, and has none where the place is another's. So the sum of
//! all operands of a stack is the stack, and everything after this works on names that fit together.

use std::sync::Arc;

use super::elaborate::{Elaborator, Meaning, Weights};
use super::formula::Terms;
use crate::checkpoint::LayerMap;
use crate::coefficient::Coefficient;
use crate::error::Result;
use crate::expression::{Atom, Call, Node, Problem, Syntax};
use crate::method::{self, LAYERS, MOST_LAYERS, STACK, Signature, selected_layers};

impl Elaborator<'_> {
    /// What a call means that gives layers other places; none for any other.
    pub(super) fn relayered(&mut self, node: &Node, call: &Call) -> Result<Option<Meaning>> {
        if call.function == LAYERS.name {
            self.layers(node, call).map(Some)
        } else if call.function == STACK.name {
            self.stack(node, call).map(Some)
        } else {
            Ok(None)
        }
    }

    fn layers(&mut self, node: &Node, call: &Call) -> Result<Meaning> {
        let (operand, selection) = self.selection(call)?;
        let depth = self.known_depth(operand)?;
        if let Some(&layer) = selection.iter().find(|layer| **layer >= depth) {
            let operand_text = operand.to_string();
            let problem = Problem::NoSuchLayer {
                layer,
                operand: operand_text,
                depth,
            };
            return Err(self.expression.error(operand.span, problem).into());
        }
        let place = self.place_of(node, selection.len() as u32)?;
        let inside = place.through(depth, |layer| selection.get(layer as usize).copied());
        let meaning = self.inside(inside, operand)?;
        self.require_alike(call, &LAYERS, &[(operand, meaning.kind())])?;
        Ok(meaning)
    }

    fn stack(&mut self, node: &Node, call: &Call) -> Result<Meaning> {
        let bound = method::bind(&STACK, call)
            .map_err(|(span, problem)| self.expression.error(span, problem))?;
        let mut depths = Vec::with_capacity(bound.operands.len());
        for operand in &bound.operands {
            depths.push(self.known_depth(operand)?);
        }
        let total = depths.iter().map(|depth| u64::from(*depth)).sum();
        let place = self.place_of(node, self.bounded(node, total)?)?;
        let mut stacked: Option<Weights> = None;
        let mut kinds = Vec::with_capacity(depths.len());
        let mut begin = 0;
        let last = depths.len() - 1;
        for (index, (operand, depth)) in bound.operands.iter().zip(&depths).enumerate() {
            let own = begin..begin + depth;
            let mut inside = place.through(*depth, |layer| {
                own.contains(&layer).then(|| layer - own.start)
            });
            inside.before &= index == 0;
            inside.after &= index == last;
            begin = own.end;
            let meaning = self.inside(inside, operand)?;
            kinds.push((*operand, meaning.kind()));
            let Meaning::Weights(weights) = meaning else {
                continue;
            };
            match &mut stacked {
                None => stacked = Some(weights),
                Some(stacked) => {
                    stacked.terms.add_all(&weights.terms, &Coefficient::one());
                    stacked.anchors.extend(weights.anchors);
                }
            }
        }
        let kind = self.require_alike(call, &STACK, &kinds)?;
        let stacked = stacked.unwrap_or(Weights {
            kind,
            terms: Terms::default(),
            anchors: Vec::new(),
        });
        Ok(Meaning::Weights(stacked))
    }

    /// Elaborates what stands in a place.
    fn inside(&mut self, place: LayerMap, node: &Node) -> Result<Meaning> {
        let outer = self.place.replace(Arc::new(place));
        let meaning = self.meaning(node);
        self.place = outer;
        meaning
    }

    /// The place in which something of so many layers stands.
    fn place_of(&self, node: &Node, depth: u32) -> Result<LayerMap> {
        match &self.place {
            None => Ok(LayerMap::identity(self.bounded(node, depth.into())?)),
            Some(place) if place.depth == depth => Ok(LayerMap::clone(place)),
            Some(place) => Err(self.other_depth(node, depth, place)),
        }
    }

    /// Checks that an input has the layers that its place counts.
    pub(super) fn check_depth(&self, node: &Node, input: usize) -> Result<()> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let checkpoint = self.inputs.checkpoint(input);
        let depth = checkpoint.depth();
        // An adapter has the layers that it changes, which need not be the last.
        if depth == place.depth || (checkpoint.covers_part() && depth < place.depth) {
            Ok(())
        } else {
            Err(self.other_depth(node, depth, place))
        }
    }

    fn other_depth(&self, node: &Node, depth: u32, place: &LayerMap) -> crate::Error {
        let problem = Problem::OtherDepth {
            operand: node.to_string(),
            depth,
            beside: place.depth,
        };
        self.expression.error(node.span, problem).into()
    }

    fn bounded(&self, node: &Node, layers: u64) -> Result<u32> {
        match u32::try_from(layers) {
            Ok(layers) if layers <= MOST_LAYERS => Ok(layers),
            _ => {
                let limit = MOST_LAYERS;
                let problem = Problem::TooManyLayers { layers, limit };
                Err(self.expression.error(node.span, problem).into())
            }
        }
    }

    /// The operand and the layers of a call of `layers`.
    fn selection<'n>(&self, call: &'n Call) -> Result<(&'n Node, Vec<u32>)> {
        let bound = method::bind(&LAYERS, call)
            .map_err(|(span, problem)| self.expression.error(span, problem))?;
        let operand = bound.operands[0];
        let [(parameter, Some(given))] = bound.parameters.as_slice() else {
            return Ok((operand, Vec::new()));
        };
        let Syntax::Atom(Atom::Quoted(text)) = &given.syntax else {
            let problem = Problem::ParameterValue {
                function: call.function.clone(),
                parameter: parameter.name.to_owned(),
                expected: parameter.value.describe().to_owned(),
                found: format!("`{given}`"),
            };
            return Err(self.expression.error(given.span, problem).into());
        };
        let selection =
            selected_layers(text).map_err(|problem| self.expression.error(given.span, problem))?;
        Ok((operand, selection))
    }

    fn require_alike(
        &self,
        call: &Call,
        signature: &Signature,
        operands: &[(&Node, crate::Kind)],
    ) -> Result<crate::Kind> {
        let kinds: Vec<crate::Kind> = operands.iter().map(|(_, kind)| *kind).collect();
        signature.kinds.result(&kinds).map_err(|(index, expected)| {
            let problem = Problem::OperandKind {
                function: call.function.clone(),
                expected,
                found: kinds[index],
            };
            self.expression
                .error(operands[index].0.span, problem)
                .into()
        })
    }

    fn known_depth(&mut self, node: &Node) -> Result<u32> {
        match self.depth(node)? {
            Some(depth) if depth > 0 => Ok(depth),
            _ => {
                let operand = node.to_string();
                let problem = Problem::NoLayers { operand };
                Err(self.expression.error(node.span, problem).into())
            }
        }
    }

    /// Layers of what an expression stands for, as the first of its checkpoints has them that is whole. All are opened on the
    /// way, so that they are known in the order of the text. One that counts layers in several lists has no one depth.
    fn depth(&mut self, node: &Node) -> Result<Option<u32>> {
        match &node.syntax {
            Syntax::Atom(atom) => {
                let input = self.inputs.open(self.expression, atom, node.span)?;
                let checkpoint = self.inputs.checkpoint(input);
                let lists = checkpoint.layer_lists();
                if lists.len() > 1 {
                    let operand = node.to_string();
                    let problem = Problem::SeveralLists { operand, lists };
                    return Err(self.expression.error(node.span, problem).into());
                }
                Ok((!checkpoint.covers_part()).then(|| checkpoint.depth()))
            }
            Syntax::Negate(operand) => self.depth(operand),
            Syntax::Binary { left, right, .. } => {
                let (left, right) = (self.depth(left)?, self.depth(right)?);
                Ok(left.or(right))
            }
            Syntax::Call(call) if call.function == LAYERS.name => {
                let (operand, selection) = self.selection(call)?;
                self.depth(operand)?;
                Ok(Some(selection.len() as u32))
            }
            Syntax::Call(call) => {
                let is_stack = call.function == STACK.name;
                let signature = match method::find(&call.function) {
                    _ if is_stack => &STACK,
                    Some(method) => &method.signature,
                    None => return Ok(None),
                };
                let bound = method::bind(signature, call)
                    .map_err(|(span, problem)| self.expression.error(span, problem))?;
                let mut depths = Vec::with_capacity(bound.operands.len());
                for operand in bound.operands {
                    depths.extend(self.depth(operand)?);
                }
                if is_stack {
                    let total = depths.iter().map(|depth| u64::from(*depth)).sum();
                    self.bounded(node, total).map(Some)
                } else {
                    Ok(depths.first().copied())
                }
            }
            Syntax::Scalar(_) | Syntax::List(_) | Syntax::Rules(_) | Syntax::Tuple(_) => Ok(None),
        }
    }
}
