//! Expressions, plans and what is made of them.

mod coefficients;
mod content;
mod fixture;
mod inspect;
mod layers;
mod load;
mod lora;
mod mergekit;
mod methods;
mod peft;
mod plan;
mod recipes;
mod rows;
mod several;
mod sparse;
mod trust;
mod write;
