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

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemFn, parse_macro_input};

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
    expand(arguments.into(), function, &Tokens::new()).unwrap_or_else(Error::into_compile_error).into()
}

/// Runs an async test on a new event loop.
///
/// `workers = 2` makes it two loops, which share the tasks of `spawn`; the default is one.
///
/// # Examples
///
/// ```
/// #[asyncio::test(workers = 2)]
/// async fn adds_up() {
///     assert_eq!(asyncio::spawn(async { 1 + 1 }).await.unwrap(), 2);
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let function = parse_macro_input!(function as ItemFn);
    let attribute = quote! { #[::core::prelude::v1::test] };
    expand(arguments.into(), function, &attribute).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(arguments: Tokens, function: ItemFn, attribute: &Tokens) -> Result<Tokens, Error> {
    let workers = workers(arguments)?;
    let ItemFn { attrs, vis, mut sig, block } = function;
    if sig.asyncness.take().is_none() {
        return Err(Error::new(sig.fn_token.span, "this attribute is for an `async fn`"));
    }
    if let Some(input) = sig.inputs.first() {
        return Err(Error::new(input.span(), "nobody calls this function with arguments"));
    }
    // The span of the body, so that a wrong return type is shown there.
    let run = match workers {
        None => quote_spanned! { block.span() => ::asyncio::run(async move #block) },
        Some(workers) => quote_spanned! { block.span() =>
            ::asyncio::Runner::builder()
                .workers(#workers)
                .build()
                .unwrap_or_else(|error| ::core::panic!("the event loops could not be made: {error}"))
                .run(async move #block)
        },
    };
    Ok(quote! { #(#attrs)* #attribute #vis #sig { #run } })
}

/// The only argument so far is `workers = n`.
fn workers(arguments: Tokens) -> Result<Option<usize>, Error> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let argument: syn::MetaNameValue = syn::parse2(arguments)?;
    if !argument.path.is_ident("workers") {
        return Err(Error::new(argument.path.span(), "unknown argument; there is `workers = 4`"));
    }
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(count), .. }) = &argument.value else {
        return Err(Error::new(argument.value.span(), "how many workers is said by a number: `workers = 4`"));
    };
    match count.base10_parse::<usize>()? {
        0 => Err(Error::new(count.span(), "a runtime without a worker would run nothing: say at least 1")),
        count => Ok(Some(count)),
    }
}
