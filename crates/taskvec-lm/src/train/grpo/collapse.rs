//! Noticing that a policy is being lost.
//!
//! GRPO without a KL term can walk off a cliff: at too high a learning rate the reward climbs for some steps
//! and is gone a few later. What is watched is not a single noisy batch but a moving average.

use serde::{Deserialize, Serialize};

use super::GrpoMetrics;
use crate::train::metrics::{CollapseSign, Warning};

/// Weight of the newest rollout in the moving averages: a memory of about three rollouts.
const NEWEST: f64 = 0.3;
/// Reward below this share of its best is a collapse.
const REWARD_SHARE: f64 = 0.5;
/// A best reward below this is noise, and nothing can be lost that was never had.
const REWARD_FLOOR: f64 = 0.05;
/// Length below this share of its best, without the reward holding, is a collapse.
const LENGTH_SHARE: f64 = 0.25;
/// Below this entropy, in nats a token, sampling repeats itself.
const ENTROPY_FLOOR: f64 = 0.01;
/// A policy this good may be short and sure of itself.
const GOOD_SHARE: f64 = 0.9;

/// The averages, the best of them, and which signs were already reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CollapseWatch {
    averages: Option<Averages>,
    best_reward: f64,
    best_length: f64,
    best_entropy: f64,
    reward_lost: bool,
    length_lost: bool,
    entropy_lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Averages {
    reward: f64,
    length: f64,
    entropy: f64,
}

impl CollapseWatch {
    /// Takes a rollout's measurements in; sets `metrics.collapse` and returns what is newly lost.
    pub(super) fn observe(&mut self, metrics: &mut GrpoMetrics) -> Vec<Warning> {
        let newest = Averages {
            reward: metrics.reward,
            length: metrics.completion_length,
            entropy: metrics.entropy,
        };
        let old = self.averages.unwrap_or(newest);
        let blend = |old: f64, new: f64| old + NEWEST * (new - old);
        let now = Averages {
            reward: blend(old.reward, newest.reward),
            length: blend(old.length, newest.length),
            entropy: blend(old.entropy, newest.entropy),
        };
        self.averages = Some(now);
        self.best_reward = self.best_reward.max(now.reward);
        self.best_length = self.best_length.max(now.length);
        self.best_entropy = self.best_entropy.max(now.entropy);

        let had = self.best_reward >= REWARD_FLOOR;
        // Once a policy solves its problems, short and sure answers are what was asked for.
        let worse = now.reward < GOOD_SHARE * self.best_reward.max(REWARD_FLOOR);
        let signs = [
            (
                CollapseSign::Reward,
                had && now.reward < REWARD_SHARE * self.best_reward,
                (now.reward, self.best_reward),
                &mut self.reward_lost,
            ),
            (
                CollapseSign::Length,
                worse && now.length < LENGTH_SHARE * self.best_length,
                (now.length, self.best_length),
                &mut self.length_lost,
            ),
            (
                CollapseSign::Entropy,
                worse && now.entropy < ENTROPY_FLOOR,
                (now.entropy, self.best_entropy),
                &mut self.entropy_lost,
            ),
        ];
        let mut warnings = Vec::new();
        metrics.collapse = false;
        for (sign, lost, (value, best), reported) in signs {
            metrics.collapse |= lost;
            if lost && !*reported {
                warnings.push(Warning::Collapse {
                    step: metrics.step,
                    sign,
                    value,
                    best,
                });
            }
            *reported = lost;
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rollouts: &[(f64, f64, f64)]) -> Vec<(u64, CollapseSign)> {
        let mut watch = CollapseWatch::default();
        let mut found = Vec::new();
        for (step, &(reward, completion_length, entropy)) in rollouts.iter().enumerate() {
            let mut metrics = GrpoMetrics {
                step: step as u64,
                reward,
                completion_length,
                entropy,
                ..GrpoMetrics::default()
            };
            for warning in watch.observe(&mut metrics) {
                if let Warning::Collapse { step, sign, .. } = warning {
                    assert!(metrics.collapse);
                    found.push((step, sign));
                }
            }
        }
        found
    }

    #[test]
    fn a_policy_that_gets_better_is_left_alone() {
        // Shorter and surer, as it should be when the reward rises; noise below a half is forgiven.
        let rollouts: Vec<_> = (0..40)
            .map(|step| {
                let step = f64::from(step);
                let noise = if step % 7.0 == 3.0 { -0.2 } else { 0.0 };
                (
                    0.3 + step * 0.017 + noise,
                    40.0 - step * 0.9,
                    1.0 / (1.0 + step * 5.0),
                )
            })
            .collect();
        assert_eq!(run(&rollouts), []);
    }

    #[test]
    fn a_lost_reward_is_reported_once() {
        let mut rollouts = vec![(0.9, 30.0, 0.5); 10];
        rollouts.extend(vec![(0.0, 30.0, 0.5); 10]);
        // 0.9 · 0.7² = 0.441 is the first average below half of 0.9.
        assert_eq!(run(&rollouts), [(11, CollapseSign::Reward)]);
    }

    #[test]
    fn lost_length_and_entropy_are_told_apart() {
        let mut rollouts = vec![(0.5, 40.0, 0.5); 5];
        rollouts.extend(vec![(0.35, 1.0, 0.5); 8]);
        assert_eq!(run(&rollouts), [(9, CollapseSign::Length)]);
        let mut rollouts = vec![(0.02, 40.0, 0.5); 3];
        rollouts.extend(vec![(0.02, 40.0, 0.0); 20]);
        assert_eq!(run(&rollouts), [(13, CollapseSign::Entropy)]);
    }
}
