//! Expressions, plans and what is made of them.

mod coefficients;
mod fixture;
mod inspect;
mod load;
mod mergekit;
mod methods;
mod plan;
mod recipes;
mod trust;
mod write;
