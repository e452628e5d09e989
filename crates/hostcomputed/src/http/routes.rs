//! From the tables of operations to routes: one loop for each table, and what is said where nothing is.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use hostcompute_schema::compute::Subject;
use hostcompute_schema::operation::{self, Operation, Right};
use hostcompute_schema::{ComputeOperation, Failure, HResult, ServiceOperation};

use super::client::{Client, SESSION};
use super::{answer, call, compute, connection, service, store};

/// Every route.
pub fn router() -> Router {
    routed(|_, _, _| true)
}

/// The routes that look, for those who may do nothing else. Handles, reservations and long operations are not theirs either.
pub fn reading() -> Router {
    routed(|right, method, path| {
        let looks = matches!(method, operation::Method::Get | operation::Method::Head);
        let own = ["/handles", "/operations", "/reservations"]
            .iter()
            .any(|begin| path.starts_with(begin));
        right == Right::Read && looks && !own
    })
}

fn routed(wanted: impl Fn(Right, operation::Method, &str) -> bool) -> Router {
    let mut router = Router::new();
    for operation in Operation::ALL {
        let Some((method, path)) = operation.route() else { continue };
        if !wanted(operation.right(), method, path) {
            continue;
        }
        let handle = move |request: Request| {
            answered(request, move |client, request| call::answer(client, *operation, request))
        };
        router = router.route(path, on(filter(method), handle));
    }
    for operation in ServiceOperation::ALL {
        let (method, path) = operation.route();
        if !wanted(operation.right(), method, path) {
            continue;
        }
        let handle = move |request: Request| {
            answered(request, move |client, request| service::answer(client, *operation, request))
        };
        router = router.route(path, on(filter(method), handle));
    }
    for operation in ComputeOperation::ALL {
        let Some((method, path)) = operation.route() else { continue };
        if !wanted(operation.right(), method, path) {
            continue;
        }
        let is_stored = matches!(operation.subject(), Subject::Image | Subject::Layer);
        let handle = move |request: Request| {
            answered(request, async move |client, request| match is_stored {
                true => store::answer(client, *operation, request).await,
                false => compute::answer(client, *operation, request).await,
            })
        };
        router = router.route(path, on(filter(method), handle));
    }
    router.fallback(nothing_there).method_not_allowed_fallback(not_this_way)
}

/// Carries out what a route stands for; a failure becomes a problem document.
async fn answered<W, F>(request: Request, work: W) -> Response
where
    W: FnOnce(std::sync::Arc<Client>, Request) -> F,
    F: Future<Output = Result<Response, Failure>>,
{
    let Some(client) = connection::client(&request) else {
        let why = "the request has lost its connection";
        return answer::problem(&Failure::new(HResult::E_UNEXPECTED, why));
    };
    let mut response = match work(client.clone(), request).await {
        Ok(response) => response,
        Err(failure) => answer::problem(&failure),
    };
    if let Some(name) = client.name() {
        response.headers_mut().insert(SESSION, name.clone());
    }
    response
}

async fn nothing_there(request: Request) -> Response {
    answered(request, async |client, request| {
        client.session(request.headers())?;
        Ok(answer::no_such_route(request.uri().path()))
    })
    .await
}

async fn not_this_way(request: Request) -> Response {
    answered(request, async |client, request| {
        client.session(request.headers())?;
        let (method, path): (&Method, &str) = (request.method(), request.uri().path());
        let why = format!("{method} is not possible at {path}");
        let failure = Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
            .hint("GET /openapi.json tells what is");
        Ok(answer::problem_with(StatusCode::METHOD_NOT_ALLOWED, &failure))
    })
    .await
}

fn filter(method: operation::Method) -> MethodFilter {
    match method {
        operation::Method::Get => MethodFilter::GET,
        operation::Method::Head => MethodFilter::HEAD,
        operation::Method::Post => MethodFilter::POST,
        operation::Method::Put => MethodFilter::PUT,
        operation::Method::Patch => MethodFilter::PATCH,
        operation::Method::Delete => MethodFilter::DELETE,
    }
}
