/**
 * A gRPC server over its own HTTP/2, made for many small calls and for streams that stay open.
 *
 * @packageDocumentation
 */
export { grpcServer, type GrpcServer } from './server.ts'
export type { GrpcLimits, GrpcServerOptions } from './options.ts'
export type { Call, DuplexCall, Handler, Receiver, ServerStreamCall } from './call.ts'
export type { HttpHandler, HttpRequest, HttpResponse } from './http-exchange.ts'
export { Code, GrpcError, type Status } from './status.ts'
