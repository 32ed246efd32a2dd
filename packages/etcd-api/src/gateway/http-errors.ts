/** How a refusal is told over HTTP. */
import { STATUS_CODES } from 'node:http'
import { Code } from '@coracle/grpc-server'
import { EtcdError } from '../errors.ts'
import { JsonError } from './json-text.ts'

/** grpc-gateway's choice for each gRPC status code, in the order of the codes. */
const HTTP_STATUS: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
]

export function httpStatusOf({ code }: EtcdError): number {
  return HTTP_STATUS[code] ?? 500
}

/** The body of an answer that is an error, for clients of etcd 3.5 (`error`) and of later ones. */
export function errorBody({ code, message }: EtcdError): string {
  return JSON.stringify({ error: message, code, message })
}

/** An error in the middle of a stream, which is its last line, for clients of either age as well. */
export function errorLine(error: EtcdError): string {
  const { code, message } = error
  const http = httpStatusOf(error)
  const old = { grpc_code: code, http_code: http, http_status: STATUS_CODES[http] ?? 'Unknown' }
  return JSON.stringify({ error: { ...old, code, message } })
}

export const notFound: EtcdError = new EtcdError(Code.NOT_FOUND, 'Not Found')
export const notPost: EtcdError = new EtcdError(Code.UNIMPLEMENTED, 'Method Not Allowed')
export const deadlineExceeded: EtcdError = new EtcdError(
  Code.DEADLINE_EXCEEDED,
  'context deadline exceeded',
)

/** What gRPC says to the gateway of etcd. Where no more was read than this, the first number is larger. */
export function messageTooLarge(bytes: number, maxBytes: number): EtcdError {
  return new EtcdError(
    Code.RESOURCE_EXHAUSTED,
    `grpc: received message larger than max (${bytes} vs. ${maxBytes})`,
  )
}

export function invalidTimeout(given: string): EtcdError {
  return new EtcdError(Code.INVALID_ARGUMENT, `invalid grpc-timeout: ${given}`)
}

/** What came of a body that is no request. */
export function malformedJson(error: unknown): unknown {
  return error instanceof JsonError ? new EtcdError(Code.INVALID_ARGUMENT, error.message) : error
}
