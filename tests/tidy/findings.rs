//! What a walk over the syntax of one file finds: how long, how many, and where.
//!
//! It judges nothing; the rules do.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

const UNFINISHED_MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// What a walk over the syntax of one file finds: lines, and what is there.
#[derive(Default)]
pub(crate) struct Findings {
    /// How deep in code that only tests have.
    test_depth: usize,
    /// First and last line of the outermost parts that only tests have.
    pub(crate) test_parts: Vec<(usize, usize)>,
    /// Name, first line and length of each function.
    pub(crate) functions: Vec<(String, usize, usize)>,
    /// Name, line and number of parameters of each function, without `self`.
    pub(crate) parameters: Vec<(String, usize, usize)>,
    pub(crate) unwraps: Vec<usize>,
    pub(crate) unfinished: Vec<(String, usize)>,
    pub(crate) modules: Vec<(String, usize)>,
    pub(crate) asyncs: Vec<usize>,
}

impl Findings {
    pub(crate) fn of(path: &str, text: &str, is_test: bool) -> Self {
        let file = syn::parse_file(text);
        let file = file.unwrap_or_else(|error| panic!("{path} does not parse: {error}"));
        let mut findings = Self {
            test_depth: usize::from(is_test),
            ..Self::default()
        };
        findings.visit_file(&file);
        findings
    }

    fn function(&mut self, signature: &syn::Signature, block: Option<&syn::Block>) {
        let name = signature.ident.to_string();
        let first = signature.span().start().line;
        let inputs = signature.inputs.iter();
        let parameters = inputs.filter(|it| matches!(it, syn::FnArg::Typed(_)));
        self.parameters
            .push((name.clone(), first, parameters.count()));
        if let Some(block) = block {
            let last = block.span().end().line;
            self.functions.push((name, first, last + 1 - first));
        }
        if signature.asyncness.is_some() {
            self.asyncs.push(first);
        }
    }

    /// Walks what may be only for tests.
    fn within(
        &mut self,
        attributes: &[syn::Attribute],
        lines: (usize, usize),
        walk: impl FnOnce(&mut Self),
    ) {
        let is_test = attributes.iter().any(is_of_tests);
        if is_test && self.test_depth == 0 {
            self.test_parts.push(lines);
        }
        self.test_depth += usize::from(is_test);
        walk(self);
        self.test_depth -= usize::from(is_test);
    }

    /// What stands in a macro has no syntax, but words.
    fn words(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.words(group.stream()),
                TokenTree::Ident(word) if *word == "unwrap" && self.test_depth == 0 => {
                    let before = at.checked_sub(1).map(|before| tokens[before].to_string());
                    if before.as_deref() == Some(".") {
                        self.unwraps.push(word.span().start().line);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_of_tests(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    let is_condition = path.is_ident("cfg") && {
        let condition = attribute.meta.require_list();
        condition.is_ok_and(|list| list.tokens.to_string() == "test")
    };
    is_condition || path.segments.last().is_some_and(|it| it.ident == "test")
}

fn lines(item: &impl syn::spanned::Spanned) -> (usize, usize) {
    (item.span().start().line, item.span().end().line)
}

impl<'ast> Visit<'ast> for Findings {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(&item.attrs, lines(item), |this| {
            this.function(&item.sig, Some(&item.block));
            visit::visit_item_fn(this, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, lines(item), |this| {
            this.function(&item.sig, Some(&item.block));
            visit::visit_impl_item_fn(this, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, lines(item), |this| {
            visit::visit_item_impl(this, item);
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.modules
            .push((item.ident.to_string(), item.span().start().line));
        self.within(&item.attrs, lines(item), |this| {
            visit::visit_item_mod(this, item);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && self.test_depth == 0 {
            self.unwraps.push(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last().map(|it| it.ident.to_string())
            && UNFINISHED_MACROS.contains(&name.as_str())
        {
            self.unfinished.push((name, call.span().start().line));
        }
        self.words(call.tokens.clone());
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.asyncs.push(block.span().start().line);
        visit::visit_expr_async(self, block);
    }
}
