/**
 * What the header fields of a request say: whether they are a request at all (RFC 9113, section 8),
 * and whether it is one of gRPC, whose refusals are in the words of grpc-go.
 */
import { isBinary, Metadata } from './metadata.ts'
import { Code } from './status.ts'

/** A call that no handler sees. */
export interface Refusal {
  readonly httpStatus: number
  readonly code: number
  readonly message: string
}

/** Shared by all requests with the same header block, so nothing in it changes. */
export interface RequestHead {
  readonly path: string
  readonly metadata: Metadata
  /** What is left of the client's deadline, or null if it has none. */
  readonly timeoutMs: number | null
  readonly contentLength: number | null
  /** Why gRPC does not take it. */
  readonly refusal: Refusal | null
  /** Null for a request of gRPC. */
  readonly http: HttpHead | null
}

/** What a request that is not one of gRPC says beside its path. */
export interface HttpHead {
  readonly method: string
  /** Empty if there is none. */
  readonly authority: string
  /** Names and values, one after the other, without the pseudo-fields. */
  readonly fields: readonly string[]
}

interface PseudoFields {
  ':method'?: string
  ':scheme'?: string
  ':authority'?: string
  ':path'?: string
}

interface Parsed {
  readonly pseudo: PseudoFields
  /** Without those that are HTTP's or gRPC's own. */
  readonly metadata: string[]
  contentType: string
  timeout: string | null
  encoding: string
  contentLength: number | null
  badBinary: { readonly name: string; readonly value: string } | null
}

/** The head of a request, or null if the fields are malformed, which is a stream error. */
export function requestHead(fields: readonly string[]): RequestHead | null {
  const parsed = parse(fields)
  if (parsed === null) return null
  const { pseudo, metadata, timeout, contentLength } = parsed
  const { ':method': method, ':path': path, ':scheme': scheme } = pseudo
  if (method === undefined || scheme === undefined || !path) return null
  const timeoutMs = timeout === null ? null : parseTimeout(timeout)
  return {
    path,
    metadata: new Metadata(metadata),
    timeoutMs: timeoutMs ?? null,
    contentLength,
    refusal: refusalOf(parsed, method, timeoutMs),
    http: isGrpc(parsed.contentType) ? null : httpHead(fields, method, pseudo[':authority']),
  }
}

/** As etcd tells them apart: what merely begins so is gRPC's to refuse, as that of gRPC-Web. */
function isGrpc(contentType: string): boolean {
  return contentType.startsWith('application/grpc')
}

function httpHead(fields: readonly string[], method: string, authority = ''): HttpHead {
  const first = fields.findIndex((name, at) => at % 2 === 0 && !name.startsWith(':'))
  return { method, authority, fields: first < 0 ? [] : fields.slice(first) }
}

/** Fields that come after the messages: there is nothing to learn from them, but they must be valid. */
export function areTrailers(fields: readonly string[]): boolean {
  const parsed = parse(fields)
  return parsed !== null && Object.keys(parsed.pseudo).length === 0
}

function refusalOf(
  { contentType, timeout, encoding, badBinary }: Parsed,
  method: string,
  timeoutMs: number | undefined | null,
): Refusal | null {
  const refuse = (httpStatus: number, code: number, message: string): Refusal => {
    return { httpStatus, code, message }
  }
  if (!/^application\/grpc(?:$|[+;])/.test(contentType))
    return refuse(
      415,
      Code.INVALID_ARGUMENT,
      `invalid gRPC request content-type ${JSON.stringify(contentType)}`,
    )
  if (timeoutMs === undefined)
    return refuse(400, Code.INTERNAL, `malformed grpc-timeout: ${JSON.stringify(timeout)}`)
  if (badBinary !== null)
    return refuse(
      400,
      Code.INTERNAL,
      `malformed binary metadata ${JSON.stringify(badBinary.value)} in header ${JSON.stringify(badBinary.name)}`,
    )
  if (method !== 'POST')
    return refuse(
      405,
      Code.INTERNAL,
      `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`,
    )
  if (encoding !== '' && encoding !== 'identity')
    return refuse(
      200,
      Code.UNIMPLEMENTED,
      `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
    )
  return null
}

function parse(fields: readonly string[]): Parsed | null {
  const parsed: Parsed = {
    pseudo: {},
    metadata: [],
    contentType: '',
    timeout: null,
    encoding: '',
    contentLength: null,
    badBinary: null,
  }
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    const value = fields[at + 1] as string
    if (!isValue(value)) return null
    if (name.startsWith(':')) {
      const isFirst = parsed.metadata.length === 0 && parsed.contentType === ''
      if (!isFirst || !takePseudo(parsed.pseudo, name, value)) return null
    } else if (!takeField(parsed, name, value)) return null
  }
  return parsed
}

/** An empty `:authority`, and one that is no host, are the client's affair: Go takes them, too. */
function takePseudo(pseudo: PseudoFields, name: string, value: string): boolean {
  switch (name) {
    case ':method':
    case ':scheme':
    case ':authority':
    case ':path':
      if (pseudo[name] !== undefined) return false
      pseudo[name] = value
      return true
    default:
      return false
  }
}

/** Takes what is for HTTP or gRPC; the rest is metadata. False for what no request may hold. */
function takeField(parsed: Parsed, name: string, value: string): boolean {
  switch (name) {
    case 'content-type':
      parsed.contentType = value
      return true
    case 'te':
      return value === 'trailers'
    case 'grpc-timeout':
      parsed.timeout = value
      return true
    case 'grpc-encoding':
      parsed.encoding = value
      return true
    case 'content-length':
      if (!/^\d{1,15}$/.test(value)) return false
      parsed.contentLength = Number(value)
      return true
    case 'connection':
    case 'proxy-connection':
    case 'keep-alive':
    case 'transfer-encoding':
    case 'upgrade':
      return false
    case 'grpc-accept-encoding':
    case 'grpc-message-type':
      return true
    default:
      if (!isName(name)) return false
      if (name.endsWith('-bin') && !isBinary(value)) parsed.badBinary ??= { name, value }
      parsed.metadata.push(name, value)
      return true
  }
}

/** A token without capital letters (RFC 9113, section 8.2.1). */
function isName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)
}

function isValue(value: string): boolean {
  return !/[\0\r\n]|^[ \t]|[ \t]$/.test(value)
}

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/** At most eight digits and a unit; undefined for anything else. */
function parseTimeout(timeout: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(timeout) ?? []
  return digits === undefined ? undefined : Number(digits) * (UNIT_MS[unit] as number)
}
