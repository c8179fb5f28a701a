//! The attributes `#[asyncio::main]` and `#[asyncio::test]`. Use them from `asyncio`.
//!
//! When to use it: never directly; the facade re-exports both.
//!
//! # Examples
//!
//! ```
//! #[asyncio::main]
//! async fn main() {
//!     let task = asyncio::spawn(async { 6 * 7 });
//!     assert_eq!(task.await.unwrap(), 42);
//! }
//! ```

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::str::FromStr;

use proc_macro::TokenStream;
use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Block, Error, Expr, ExprLit, Generics, ItemFn, Lit, LitInt, Meta, Signature, Token,
    Visibility, parse_macro_input,
};

/// Runs an async `main` on a new event loop.
///
/// `workers = 4` makes it four loops, which share the tasks of `spawn`; the default is one. The function may return anything that `main` may.
///
/// # Examples
///
/// ```
/// #[asyncio::main]
/// async fn main() -> std::io::Result<()> {
///     let listener = asyncio::net::TcpListener::bind("127.0.0.1:0").await?;
///     assert_ne!(listener.local_addr()?.port(), 0);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let function = parse_macro_input!(function as ItemFn);
    Arguments::read(arguments.into(), false)
        .and_then(|arguments| expand(arguments.workers, function, &Tokens::new()))
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// Runs an async test on a new event loop.
///
/// `workers = 2` makes it two loops, which share the tasks of `spawn`; the default is one.
///
/// `sim` runs it on the host "test" of a simulation instead (the feature `sim` of `asyncio`), and `seeds = 100` so often, each time with another seed. `with = |builder| …` sets
/// what the simulation is like: its faults, its links. The test may return nothing, or a `Result`. One that fails is made as small as it can be, and a line says how
/// to replay it.
///
/// # Examples
///
/// ```
/// #[asyncio::test(workers = 2)]
/// async fn adds_up() {
///     assert_eq!(asyncio::spawn(async { 1 + 1 }).await.unwrap(), 2);
/// }
///
/// #[asyncio::test(sim, seeds = 10, with = |builder| builder.faults(asyncio::sim::Faults::all()).swarm(true))]
/// async fn adds_up_whatever_happens() {
///     asyncio::sleep(std::time::Duration::from_secs(3600)).await; // takes no time
///     assert_eq!(asyncio::spawn(async { 1 + 1 }).await.unwrap(), 2);
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let function = parse_macro_input!(function as ItemFn);
    let attribute = quote! { #[::core::prelude::v1::test] };
    let is_of_a_test = true;
    Arguments::read(arguments.into(), is_of_a_test)
        .and_then(|arguments| match arguments.sim {
            Some(sim) => expand_sim(sim, function, &attribute),
            None => expand(arguments.workers, function, &attribute),
        })
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(workers: Option<usize>, function: ItemFn, attribute: &Tokens) -> Result<Tokens, Error> {
    let (attrs, vis, mut sig, block) = parts(function)?;
    let is_test = !attribute.is_empty();
    let (body, main) = if is_test {
        // There are many tests: by a `dyn`, what runs them is compiled once, and not for each.
        let mut inner = sig.clone();
        inner.asyncness = Some(Default::default());
        inner.ident = Ident::new("__asyncio_test_body", Span::call_site());
        sig.generics = Generics::default();
        let body = quote! {
            #inner #block
            let body: ::core::pin::Pin<&mut dyn ::core::future::Future<Output = _>> =
                ::core::pin::pin!(__asyncio_test_body());
        };
        (body, quote! { body })
    } else {
        // The span of the body, so that a wrong return type is shown there.
        (Tokens::new(), quote_spanned! { block.span() => async move #block })
    };
    let run = match workers {
        None => quote_spanned! { block.span() => ::asyncio::run(#main) },
        Some(workers) => quote_spanned! { block.span() =>
            ::asyncio::Runner::builder()
                .workers(#workers)
                .build()
                .unwrap_or_else(|error| ::core::panic!("the event loops could not be made: {error}"))
                .run(#main)
        },
    };
    Ok(quote! { #(#attrs)* #attribute #vis #sig { #body #run } })
}

fn expand_sim(sim: Simulated, function: ItemFn, attribute: &Tokens) -> Result<Tokens, Error> {
    let (attrs, vis, sig, block) = parts(function)?;
    let (name, output, Simulated { seeds, with }) = (&sig.ident, &sig.output, sim);
    let with = with.map_or_else(|| quote! { |builder| builder }, |with| quote! { #with });
    Ok(quote! {
        #(#attrs)* #attribute #vis fn #name() {
            async fn __asyncio_sim_body() #output #block
            ::asyncio::sim::test(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                #seeds,
                #with,
                __asyncio_sim_body,
            );
        }
    })
}

type Parts = (Vec<Attribute>, Visibility, Signature, Box<Block>);

/// Takes an async function without arguments apart.
fn parts(function: ItemFn) -> Result<Parts, Error> {
    let ItemFn { attrs, vis, mut sig, block } = function;
    if sig.asyncness.take().is_none() {
        return Err(Error::new(sig.fn_token.span, "this attribute is for an `async fn`"));
    }
    if let Some(input) = sig.inputs.first() {
        return Err(Error::new(input.span(), "nobody calls this function with arguments"));
    }
    Ok((attrs, vis, sig, block))
}

/// What stands in the brackets of an attribute.
#[derive(Default)]
struct Arguments {
    workers: Option<usize>,
    sim: Option<Simulated>,
}

/// What is said of a simulation.
struct Simulated {
    seeds: u64,
    with: Option<Expr>,
}

impl Arguments {
    fn read(arguments: Tokens, is_of_a_test: bool) -> Result<Self, Error> {
        let mut read = Self::default();
        let arguments = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments)?;
        let is_sim = |argument: &Meta| matches!(argument, Meta::Path(path) if path.is_ident("sim"));
        if is_of_a_test && arguments.iter().any(is_sim) {
            read.sim = Some(Simulated { seeds: 1, with: None });
        }
        for argument in arguments {
            let path = argument.path().clone();
            let is = |name| path.is_ident(name);
            match (argument, &mut read.sim) {
                (Meta::NameValue(argument), _) if is("workers") => {
                    read.workers = Some(count(&argument.value, "how many workers", "workers = 4")?);
                }
                (Meta::Path(_), Some(_)) if is("sim") => {}
                (Meta::NameValue(argument), Some(sim)) if is("seeds") => {
                    sim.seeds = count(&argument.value, "how many seeds", "seeds = 100")?;
                }
                (Meta::NameValue(argument), Some(sim)) if is("with") => sim.with = Some(argument.value),
                _ => {
                    let message = match is_of_a_test {
                        true if is("seeds") || is("with") => {
                            "this is said of a simulation: `sim, seeds = 100, with = …`"
                        }
                        true => "unknown argument; there are `workers = 4`, and `sim, seeds = 100, with = …`",
                        false => "unknown argument; there is `workers = 4`",
                    };
                    return Err(Error::new(path.span(), message));
                }
            }
        }
        if let (Some(_), Some(_)) = (read.workers, &read.sim) {
            return Err(Error::new(
                Span::call_site(),
                "a simulated host has one worker: leave `workers` out",
            ));
        }
        Ok(read)
    }
}

fn count<T>(value: &Expr, what: &str, example: &str) -> Result<T, Error>
where
    T: FromStr<Err: Display> + Default + PartialEq,
{
    let Expr::Lit(ExprLit { lit: Lit::Int(count), .. }) = value else {
        return Err(Error::new(value.span(), format!("{what} is said by a number: `{example}`")));
    };
    let count: LitInt = count.clone();
    match count.base10_parse::<T>()? {
        none if none == T::default() => {
            Err(Error::new(count.span(), "none at all would run nothing: say at least 1"))
        }
        count => Ok(count),
    }
}
