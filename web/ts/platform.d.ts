// What browsers have and TypeScript's library for pages does not: files that a worker writes
// synchronously.

interface FileSystemSyncAccessHandle {
  getSize(): number;
  write(bytes: AllowSharedBufferSource, options?: { at?: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
  /** Renames within the folder. */
  move(name: string): Promise<void>;
}
