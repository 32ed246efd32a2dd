/** Tells whether a recorded history of concurrent operations is linearizable, and if not, why. */
export { checkLinearizability, type CheckOptions, type Verdict } from './check.ts'
export type { Model } from './model.ts'
export type { Operation } from './operation.ts'
export { keyValue, type KeyValueInput, type KeyValueOutput } from './models/key-value.ts'
export { register, type RegisterInput, type RegisterOutput } from './models/register.ts'
