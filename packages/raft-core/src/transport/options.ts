import type { NodeId } from '../types.ts'

/** As long as a timer can wait, and as a length in 32 bits can be. */
const MOST = 0x7f_ff_ff_ff

type Common = 'minReconnectMs' | 'maxReconnectMs'

/** Fills in the defaults of options that are numbers. Throws a RangeError that names the wrong one. */
export function resolveNumbers<Name extends string>(
  options: { readonly [name in NoInfer<Name> | Common]?: number },
  defaults: Readonly<Record<Name | Common, number>>,
): Record<Name | Common, number> {
  const numbers: Record<Name | Common, number> = { ...defaults }
  for (const name of Object.keys(defaults) as (Name | Common)[]) {
    const value = options[name] ?? defaults[name]
    if (!Number.isSafeInteger(value) || value < 1 || value > MOST)
      throw new RangeError(`${name} must be a whole number from 1 to ${MOST}, not ${value}`)
    numbers[name] = value
  }
  if (numbers.maxReconnectMs < numbers.minReconnectMs)
    throw new RangeError('maxReconnectMs must not be less than minReconnectMs')
  return numbers
}

/** Throws a RangeError for a name that is empty, or too long for the handshake. */
export function checkNames(names: { readonly id: NodeId; readonly cluster: string }): void {
  for (const name of ['id', 'cluster'] as const) {
    const bytes = new TextEncoder().encode(names[name]).byteLength
    if (bytes < 1 || bytes > 255)
      throw new RangeError(`${name} must have 1 to 255 bytes, not ${bytes}`)
  }
}
