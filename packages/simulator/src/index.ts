/** Raft clusters under a microscope. */
export { runScenario, ScenarioError } from './scenario/runner.ts'
export {
  type Report,
  simulate,
  type SimulateOptions,
  type Tally,
  type Violation,
} from './simulate.ts'
export { FAULTS, type Fault } from './faults.ts'
export { drawKeyValue } from './key-value-workload.ts'
export type { Plan } from './plan.ts'
export type * from './observer.ts'
export type * from './own-parts.ts'
export type { Random } from './random.ts'
export type { Load, TestedMachine, Workload } from './workload.ts'
