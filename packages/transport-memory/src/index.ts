/** Transport inside one process: as fast as calls, and as unreliable as a test asks for. */
export { memoryNetwork, type MemoryNetwork, type MemoryNetworkOptions } from './network.ts'
export type { Delay, Rule } from './faults.ts'
