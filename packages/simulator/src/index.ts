/** Raft clusters under a microscope. */
export { runScenario, ScenarioError } from './scenario/runner.ts'
export {
  type Report,
  simulate,
  type SimulateOptions,
  type Tally,
  type Violation,
} from './simulate.ts'
