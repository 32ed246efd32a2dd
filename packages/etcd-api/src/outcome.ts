/** What the state machine answered, or an error with what it refused. */
import type { KvFailure, KvResult } from '@coracle/kv-state-machine'
import { kvError } from './errors.ts'

/** The result, or throws what the state machine refused. */
export function succeeded<Result extends { readonly type: string }>(
  result: Result | KvFailure,
): Result {
  if (isFailure(result)) throw kvError(result.code)
  return result
}

function isFailure(result: { readonly type: string }): result is KvFailure {
  return result.type === 'failure'
}

/** The result of a command of this type. */
export function outcome<Type extends KvResult['type']>(
  result: KvResult,
  type: Type,
): Extract<KvResult, { type: Type }> {
  if (isFailure(result)) throw kvError(result.code)
  if (result.type !== type) throw new TypeError(`${type} was answered with ${result.type}`)
  return result as Extract<KvResult, { type: Type }>
}
