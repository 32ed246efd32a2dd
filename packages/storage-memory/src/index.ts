export {
  memoryDisk,
  type MemoryDisk,
  type MemoryDiskOptions,
  memoryStorage,
} from './memory-storage.ts'
