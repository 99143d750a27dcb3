//! Merge methods as expressions.
//!
//! What is random, ranked or rotated is done by the functions of the same names; their pages say in what they differ.

use super::fields::{invalid, unsupported};
use super::method::{Combined, Inputs, Kind, Method, Sparse};
use super::setting::{Number, Scope, Settings, set_at};
use super::yaml::Fault;
use crate::coefficient::Coefficient;

/// A slice on its way into an expression.
pub(super) struct Translation<'a> {
    pub(super) method: &'a Method,
    pub(super) inputs: &'a Inputs<'a>,
    /// Settings of parameters that all inputs share, nearest level first.
    pub(super) shared: &'a [&'a Settings],
    pub(super) scope: &'a Scope<'a>,
}

impl Translation<'_> {
    pub(super) fn expression(&self) -> Result<String, Fault> {
        let names: Vec<&str> = self
            .inputs
            .models
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        let base = self.inputs.base.as_deref();
        let list = names.join(", ");
        let deltas: Vec<String> = names
            .iter()
            .map(|name| {
                base.map_or_else(|| (*name).to_owned(), |base| format!("({name} - {base})"))
            })
            .collect();
        let delta_list = deltas.join(", ");
        let vectors = base.unwrap_or_default();
        Ok(match self.method.kind {
            Kind::Linear => self.linear(&list)?,
            Kind::TaskArithmetic(sparse, combined) => {
                self.task_arithmetic(vectors, &deltas, sparse, combined)?
            }
            Kind::Slerp => {
                self.count(1, 1)?;
                let t = self.shared("t", None)?;
                format!("slerp({vectors}, {list}, t={})", t.text())
            }
            Kind::NuSlerp => {
                self.count(2, 2)?;
                let flatten = self.scope.flag("nuslerp_flatten", self.shared, true)?;
                let row_wise = self.scope.flag("nuslerp_row_wise", self.shared, false)?;
                let over = match (flatten, row_wise) {
                    (true, _) => "",
                    (false, false) => ", over=\"rows\"",
                    // What mergekit calls a row is what the first index tells apart.
                    (false, true) => ", over=\"columns\"",
                };
                let weights = self.each("weight", None)?;
                let total = Number::sum(&weights);
                let half = || Coefficient::ratio(1, 2).unwrap_or_else(Coefficient::one);
                let t = weights[1]
                    .over(&total)
                    .unwrap_or_else(|| Number::Constant(half()));
                self.moved(&format!("nuslerp({delta_list}, t={}{over})", t.text()))
            }
            Kind::MultiSlerp => self.multislerp(&delta_list)?,
            Kind::Karcher => {
                if names.len() == 1 {
                    return Ok(list);
                }
                let iterations = self.scope.constant("max_iter", self.shared, 10.into())?;
                let tolerance = self.shared("tol", Some(small(5)))?;
                let parameters = self.unless(&[
                    ("iterations", Number::Constant(iterations), 10.into()),
                    ("tolerance", tolerance, small(5)),
                ]);
                format!("karcher({list}{parameters})")
            }
            Kind::ModelStock => {
                self.count(2, usize::MAX)?;
                let over = if self.scope.flag("filter_wise", self.shared, false)? {
                    ", over=\"rows\""
                } else {
                    ""
                };
                format!("model_stock({vectors}, {list}{over})")
            }
            Kind::Sce => {
                let density = self.shared("select_topk", Some(Coefficient::one()))?;
                match density.constant() {
                    _ if names.is_empty() => vectors.to_owned(),
                    Some(density) if density.is_negative() || density.is_zero() => {
                        vectors.to_owned()
                    }
                    Some(density) if *density >= Coefficient::one() => {
                        format!("{vectors} + sce({delta_list})")
                    }
                    _ => format!("{vectors} + sce({delta_list}, density={})", density.text()),
                }
            }
            Kind::NearSwap => {
                self.count(1, 1)?;
                let t = self.shared("t", None)?;
                format!("nearswap({vectors}, {list}, t={})", t.text())
            }
            Kind::Ram | Kind::RamPlus if names.is_empty() => vectors.to_owned(),
            Kind::Ram => {
                let epsilon = self.shared("epsilon", Some(small(5)))?;
                let parameters = self.unless(&[("epsilon", epsilon, small(5))]);
                format!("{vectors} + ram({delta_list}{parameters})")
            }
            Kind::RamPlus => {
                let (r, alpha) = (tenths(1), tenths(2));
                let parameters = self.unless(&[
                    ("r", self.shared("r", Some(r.clone()))?, r),
                    ("alpha", self.shared("alpha", Some(alpha.clone()))?, alpha),
                    ("epsilon", self.shared("epsilon", Some(small(5)))?, small(5)),
                ]);
                format!("{vectors} + ramplus_tl({delta_list}{parameters})")
            }
            Kind::Passthrough => {
                self.count(1, 1)?;
                let scale = self.each("scale", Some(Coefficient::one()))?;
                if scale[0].is(1) {
                    list
                } else {
                    format!("linear({list}, weights={})", scale[0].text())
                }
            }
            Kind::ArceeFusion => {
                self.count(1, 1)?;
                format!("arcee_fusion({vectors}, {list})")
            }
        })
    }

    fn linear(&self, list: &str) -> Result<String, Fault> {
        let weights = self.each("weight", None)?;
        let normalize = self.scope.flag("normalize", self.shared, true)?;
        if normalize
            && weights
                .iter()
                .all(|weight| *weight == weights[0] && weight.constant().is_some())
        {
            if weights[0].is(0) {
                return Err(self.no_sum());
            }
            return Ok(format!("mean({list})"));
        }
        let weights = if normalize {
            self.normalized(weights)?
        } else {
            weights
        };
        Ok(format!("linear({list}, {})", tuple(&weights)))
    }

    fn multislerp(&self, list: &str) -> Result<String, Fault> {
        self.count(1, usize::MAX)?;
        let eps = self.scope.constant("eps", self.shared, small(8))?;
        if eps != small(8) {
            let at = set_at("eps", self.shared);
            return Err(unsupported(
                at,
                "an `eps` of `multislerp`",
                "nothing is added to norms",
                None,
            ));
        }
        let normalize = self.scope.flag("normalize_weights", self.shared, true)?;
        let weights = self.each("weight", None)?;
        if let [only] = self.inputs.models.as_slice() {
            return Ok(only.name.clone());
        }
        let total = Number::sum(&weights);
        if total.is(0) {
            return Err(self.no_sum());
        }
        let equal = weights.iter().all(|weight| *weight == weights[0]);
        let call = if equal {
            format!("multislerp({list})")
        } else {
            format!("multislerp({list}, {})", tuple(&weights))
        };
        Ok(match (&self.inputs.base, normalize || total.is(1)) {
            (Some(_), true) => self.moved(&call),
            // Weights that add up to s make the mean length, and so the result, s times as long.
            (Some(_), false) => self.moved(&total.times(&call)),
            (None, true) => call,
            (None, false) => format!("linear({call}, weights={})", total.text()),
        })
    }

    fn task_arithmetic(
        &self,
        base: &str,
        deltas: &[String],
        sparse: Sparse,
        combined: Combined,
    ) -> Result<String, Fault> {
        // Only how signs are held in memory; nothing depends on it.
        self.scope.flag("int8_mask", self.shared, false)?;
        let random = matches!(sparse, Sparse::Random | Sparse::ByMagnitude);
        let normalize_default = combined == Combined::Elected { normalize: true };
        let normalize = self
            .scope
            .flag("normalize", self.shared, normalize_default)?;
        let rescale = self.scope.flag("rescale", self.shared, random)?;
        let lambda = self.shared("lambda", Some(Coefficient::one()))?;
        if rescale && !random && sparse != Sparse::All {
            return Err(unsupported(
                set_at("rescale", self.shared),
                "`rescale: true` of a method that keeps the largest elements",
                "vectors are not scaled to their former norm",
                None,
            ));
        }
        let weights = self.each("weight", None)?;
        let densities = if sparse == Sparse::All {
            vec![Number::Constant(Coefficient::one()); weights.len()]
        } else {
            let densities = self.each("density", Some(Coefficient::one()))?;
            densities.into_iter().map(at_most_one).collect()
        };
        let gammas = if sparse == Sparse::WithoutOutliers {
            let default = Coefficient::ratio(1, 100).unwrap_or_else(Coefficient::zero);
            self.each("gamma", Some(default))?
        } else {
            vec![Number::Constant(Coefficient::zero()); weights.len()]
        };
        let epsilons = if sparse == Sparse::ByMagnitude {
            self.epsilons(&densities)?
        } else {
            vec![Number::Constant(Coefficient::zero()); weights.len()]
        };
        let rescaled = if rescale { "l1" } else { "none" };
        let (mut vectors, mut factors) = (Vec::new(), Vec::new());
        for (index, weight) in weights.iter().enumerate() {
            let (delta, density) = (&deltas[index], &densities[index]);
            let nothing = density
                .constant()
                .is_some_and(|density| density.is_negative() || density.is_zero());
            // What weighs nothing still counts in the sum of weights, which is then the same.
            if nothing && !(normalize && combined == Combined::Summed) {
                continue;
            }
            let all = density
                .constant()
                .is_some_and(|density| *density >= Coefficient::one());
            let text = density.text();
            let vector = match sparse {
                _ if nothing => format!("0*{delta}"),
                _ if all => delta.clone(),
                Sparse::All => delta.clone(),
                Sparse::Largest => format!("trim({delta}, density={text})"),
                // Vectors drawn with one seed would lose the same elements.
                Sparse::Random => {
                    let drawn = format!("dare({delta}, density={text}, seed={})", index + 1);
                    if rescale {
                        drawn
                    } else {
                        density.times(&drawn)
                    }
                }
                Sparse::ByMagnitude => {
                    let (epsilon, seed) = (epsilons[index].text(), index + 1);
                    format!(
                        "magprune({delta}, density={text}, epsilon={epsilon}, seed={seed}, rescale=\"{rescaled}\")"
                    )
                }
                Sparse::WithoutOutliers => {
                    format!(
                        "breadcrumbs({delta}, density={text}, gamma={})",
                        gammas[index].text()
                    )
                }
            };
            vectors.push(vector);
            factors.push(weight.clone());
        }
        if vectors.is_empty() {
            return Ok(base.to_owned());
        }
        let sum = match combined {
            Combined::Elected { .. } => {
                let weights = if factors.iter().all(|factor| factor.is(1)) {
                    String::new()
                } else {
                    format!(", {}", tuple(&factors))
                };
                let combine = if normalize { "" } else { ", combine=\"sum\"" };
                let alike = densities.iter().all(|density| *density == densities[0])
                    && gammas.iter().all(|gamma| *gamma == gammas[0])
                    && epsilons.iter().all(|epsilon| *epsilon == epsilons[0]);
                let text = densities[0].text();
                let deltas = deltas.join(", ");
                let other = if normalize { ", combine=\"mean\"" } else { "" };
                vec![match sparse {
                    Sparse::Largest if alike => {
                        format!("ties({deltas}, density={text}{weights}{combine})")
                    }
                    Sparse::Random if alike && rescale => {
                        format!("dare_ties({deltas}, density={text}, seed=1{weights}{other})")
                    }
                    Sparse::ByMagnitude if alike => {
                        let epsilon = epsilons[0].text();
                        format!(
                            "della({deltas}, density={text}, epsilon={epsilon}, seed=1{weights}{combine}, rescale=\"{rescaled}\")"
                        )
                    }
                    Sparse::WithoutOutliers if alike => {
                        let gamma = gammas[0].text();
                        format!(
                            "breadcrumbs_ties({deltas}, density={text}, gamma={gamma}{weights}{other})"
                        )
                    }
                    // The vectors are sparse already.
                    _ => format!("ties({}, density=1{weights}{combine})", vectors.join(", ")),
                }]
            }
            Combined::Summed => {
                let factors = if normalize {
                    self.normalized_or_plain(factors)?
                } else {
                    factors
                };
                factors
                    .iter()
                    .zip(&vectors)
                    .filter(|(factor, _)| !factor.is(0))
                    .map(|(factor, vector)| factor.times(vector))
                    .collect()
            }
        };
        if sum.is_empty() || lambda.is(0) {
            return Ok(base.to_owned());
        }
        let sum = sum.join(" + ");
        Ok(if lambda.is(1) {
            format!("{base} + {sum}")
        } else {
            format!("{base} + {}", lambda.times(&format!("({sum})")))
        })
    }

    /// The parameter `epsilon` of each input, which must fit its density.
    fn epsilons(&self, densities: &[Number]) -> Result<Vec<Number>, Fault> {
        let default = Coefficient::ratio(15, 100).unwrap_or_else(Coefficient::zero);
        let epsilons = self.each("epsilon", Some(default))?;
        let (zero, one) = (Coefficient::zero(), Coefficient::one());
        for (index, epsilon) in epsilons.iter().enumerate() {
            // What differs between tensors is checked in each of them.
            if let (Some(density), Some(epsilon)) =
                (densities[index].constant(), epsilon.constant())
                && *density > zero
                && *density < one
                && (epsilon.is_negative() || density - epsilon <= zero || density + epsilon > one)
            {
                let levels = &self.inputs.models[index].levels;
                let is_set = levels.iter().any(|level| level.get("epsilon").is_some());
                return Err(invalid(
                    set_at(if is_set { "epsilon" } else { "density" }, levels),
                    format!(
                        "`density` ± `epsilon` must lie above 0 and up to 1, and {density} ± {epsilon} does not"
                    ),
                ));
            }
        }
        Ok(epsilons)
    }

    /// A vector added to the base, or what stands for itself without one.
    fn moved(&self, call: &str) -> String {
        match &self.inputs.base {
            Some(base) => format!("{base} + {call}"),
            None => call.to_owned(),
        }
    }

    fn shared(&self, name: &str, default: Option<Coefficient>) -> Result<Number, Fault> {
        self.scope
            .number(name, self.shared, default, self.inputs.at, self.scope.begin)
    }

    /// A parameter of each input.
    fn each(&self, name: &str, default: Option<Coefficient>) -> Result<Vec<Number>, Fault> {
        self.inputs
            .models
            .iter()
            .map(|input| {
                let at = self.inputs.at;
                self.scope
                    .number(name, &input.levels, default.clone(), at, input.first)
            })
            .collect()
    }

    fn normalized(&self, weights: Vec<Number>) -> Result<Vec<Number>, Fault> {
        let total = Number::sum(&weights);
        weights
            .iter()
            .map(|weight| weight.over(&total).ok_or_else(|| self.no_sum()))
            .collect()
    }

    /// As mergekit for vectors: weights without a sum are taken as they are.
    fn normalized_or_plain(&self, weights: Vec<Number>) -> Result<Vec<Number>, Fault> {
        if Number::sum(&weights).is(0) {
            Ok(weights)
        } else {
            self.normalized(weights)
        }
    }

    fn no_sum(&self) -> Fault {
        invalid(
            self.inputs.at,
            "the weights add up to zero, and cannot be normalised",
        )
    }

    /// Checks the number of inputs beside the base.
    fn count(&self, least: usize, most: usize) -> Result<(), Fault> {
        let found = self.inputs.models.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let beside = if self.inputs.base.is_some() {
            " beside the base"
        } else {
            ""
        };
        let expected = match (least, most) {
            (least, usize::MAX) => format!("{least} or more"),
            (least, _) => least.to_string(),
        };
        let name = self.method.name;
        Err(invalid(
            self.inputs.at,
            format!("`{name}` merges {expected} models{beside}, not {found}"),
        ))
    }

    /// Parameters of a call that are not what they are by default.
    fn unless(&self, parameters: &[(&str, Number, Coefficient)]) -> String {
        parameters
            .iter()
            .filter(|(_, number, default)| number.constant() != Some(default))
            .map(|(name, number, _)| format!(", {name}={}", number.text()))
            .collect()
    }
}

/// mergekit keeps everything where a density is above one.
fn at_most_one(density: Number) -> Number {
    match density {
        Number::Constant(value) if value > Coefficient::one() => {
            Number::Constant(Coefficient::one())
        }
        other => other,
    }
}

/// The parameter `weights`.
fn tuple(weights: &[Number]) -> String {
    let parts: Vec<String> = weights.iter().map(Number::text).collect();
    match parts.as_slice() {
        [one] => format!("weights={one}"),
        _ => format!("weights=({})", parts.join(", ")),
    }
}

fn small(power: u32) -> Coefficient {
    Coefficient::ratio(1, 10i64.pow(power)).unwrap_or_else(Coefficient::zero)
}

fn tenths(count: i64) -> Coefficient {
    Coefficient::ratio(count, 10).unwrap_or_else(Coefficient::zero)
}
