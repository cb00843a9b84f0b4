package words

import "fmt"

// Why the system tells of no new files, and how they are found meanwhile; every is how often outbox is looked through.

// NoInstances says that too many programs of this account want to be told of files.
func NoInstances(every string) string {
	return fmt.Sprintf("the system does not tell of new files, because this account has used up its inotify instances; outbox is looked through every %s instead. To raise the limit: sysctl fs.inotify.max_user_instances=1024", every)
}

// NoWatches says that too many folders are watched for programs of this account.
func NoWatches(every string) string {
	return fmt.Sprintf("the system does not tell of new files, because this account has used up its inotify watches; outbox is looked through every %s instead. To raise the limit: sysctl fs.inotify.max_user_watches=65536", every)
}

// NotWatched says that the system gives another reason.
func NotWatched(why, every string) string {
	return fmt.Sprintf("the system does not tell of new files (%s); outbox is looked through every %s instead", why, every)
}

// FolderSilent says that a call on a folder of a tray has not returned since the start.
const FolderSilent = ofFolder + "or one below it does not answer, so that nothing of this tray is sent; other trays go on: check the disk or the share on which it lies. As soon as it answers, it goes on by itself"

// TrayGone says that the folders of a tray are not where they were, though something of it is under way.
func TrayGone(n int64) string {
	return fmt.Sprintf(ofFolder+"is not the one in which %s under way: connect the disk or the share on which it lies. If it is gone for good, make it again and restart sealpost", Count(n, "message is", "messages are"))
}
