/** What is known of the calls of one method. */
import type { Rpc } from '../method.ts'
import { labelsOf, RPC_LABELS } from './rpc-labels.ts'

/** By the names that Go gives the codes, in the order of the codes. */
export const CODES: readonly string[] = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
]

/** A put adds to four of these and to one of its client’s, and that is all it pays. */
export class Counts {
  started: number = 0
  received: number = 0
  sent: number = 0
  readonly handled: number[] = CODES.map(() => 0)
  readonly labels: readonly string[]

  constructor({ schema }: Pick<Rpc, 'schema'>) {
    const labels = labelsOf(schema)
    this.labels = RPC_LABELS.map((name) => labels[name])
  }

  end(code: number): void {
    this.handled[code] = (this.handled[code] ?? 0) + 1
  }
}
