//! Processes that call each other over loopback: real controllers, kubectl, Google's own clients.

mod backtest;
mod clients;
mod controllers;
mod helm;
mod kubectl;
mod plugin;
mod prometheus;
mod rights;
mod troubles;
mod tutorial;
