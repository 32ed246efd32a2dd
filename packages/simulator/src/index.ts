/** Raft clusters under a microscope. */
export { runScenario, ScenarioError } from './scenario/runner.ts'
