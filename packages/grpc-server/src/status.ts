/** How a call ends: gRPC's codes, and how they and their texts go over the wire. */

/** gRPC's status codes by name. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

/** How a call failed. */
export interface Status {
  /** One of {@link Code}, other than OK. */
  readonly code: number
  readonly message: string
}

/** What a handler throws to end its call with a status. Any error with a valid `code` does as well. */
export class GrpcError extends Error implements Status {
  override readonly name = 'GrpcError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** The status that an error stands for. One without a code is a defect, of which only its text is told. */
export function statusOf(error: unknown): Status {
  if (isStatus(error)) return { code: error.code, message: error.message }
  return { code: Code.UNKNOWN, message: error instanceof Error ? error.message : 'unknown error' }
}

function isStatus(error: unknown): error is Status {
  if (typeof error !== 'object' || error === null) return false
  const { code, message } = error as Partial<Status>
  return typeof message === 'string' && Number.isInteger(code) && isFailure(code as number)
}

function isFailure(code: number): boolean {
  return code >= Code.CANCELLED && code <= Code.UNAUTHENTICATED
}

/** Percent-encodes what is not printable ASCII, as `grpc-message` demands. */
export function encodeStatusMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message
  let encoded = ''
  for (const byte of new TextEncoder().encode(message)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    encoded += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}
