/* What AFS' client in the kernel answers to fs(1), on machines without one: for LD_PRELOAD.
 *
 * fs asks by an ioctl at a file of the kernel's.  Of what it can ask three things are answered: the access
 * list of a folder, which the file server is asked for; a new one, which it is told; and the cell.  A folder
 * is the top of the volume of its name: mount points are the kernel's.  The file server is spoken to with the
 * cell's key, of the folder that -localauth of other programs reads, by the cell's user afs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <afs/param.h>
#include <afs/afs_args.h>
#include <afs/afscp.h>
#include <afs/auth.h>
#include <afs/dirpath.h>
#include <afs/vice.h>
#include <afs/vioc.h>
#include <afs/voldefs.h>

#define FORBIDDEN 49733388 /* EACCES on the wire */

FILE *said; /* where the library, which isn't made to be part of another, finds stderr */
static int door = -1;

__attribute__((constructor)) static void begin(void)
{
    said = fdopen(2, "w");
}

static struct afscp_cell *signed_on(void)
{
    static struct afscp_cell *cell;
    struct afsconf_dir *keys = afsconf_Open(AFSDIR_SERVER_ETC_DIRPATH);
    char name[MAXCELLCHARS + 1];

    if (cell || !keys || afsconf_GetLocalCell(keys, name, sizeof name))
        return cell;
    afscp_AnonymousAuth(1); /* until there is a cell, whose key it then is */
    if (afscp_Init(name) || !(cell = afscp_DefaultCell()))
        return NULL;
    if (afsconf_ClientAuth(keys, &cell->security, &cell->scindex) || !cell->scindex)
        cell = NULL;
    return cell;
}

/* -1 with errno, or 0, as the kernel does. */
static int answer(const char *path, unsigned int asked, struct ViceIoctl *data)
{
    struct afscp_cell *cell = signed_on();
    const char *folder = strrchr(path, '/');
    struct AFSOpaque list = { data->in_size, data->in };
    struct afscp_volume *volume;
    struct afscp_venusfid *top;

    errno = ETIMEDOUT;
    if (!cell || !folder)
        return -1;
    if (asked == VIOC_FILE_CELL_NAME) {
        strcpy(data->out, cell->name);
        return 0;
    }
    volume = afscp_VolumeByName(cell, folder + 1, RWVOL);
    errno = volume ? EINVAL : ENOENT;
    if (!volume || !(top = afscp_MakeFid(cell, volume->id, 1, 1)))
        return -1;
    if (asked == VIOCSETAL && !afscp_StoreACL(top, &list))
        return 0;
    list.AFSOpaque_val = NULL;
    if (asked == VIOCGETAL && !afscp_FetchACL(top, &list) && list.AFSOpaque_len < data->out_size) {
        memcpy(data->out, list.AFSOpaque_val, list.AFSOpaque_len);
        data->out[list.AFSOpaque_len] = '\0';
        return 0;
    }
    errno = afscp_errno == FORBIDDEN ? EACCES : errno;
    return -1;
}

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    va_list rest;
    int mode;

    va_start(rest, flags);
    mode = va_arg(rest, int);
    va_end(rest);
    if (!strcmp(path, PROC_SYSCALL_FNAME))
        return door = real("/dev/null", O_RDWR);
    return real(path, flags, mode);
}

int ioctl(int file, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    struct afsprocdata *call;
    va_list rest;

    va_start(rest, request);
    call = va_arg(rest, struct afsprocdata *);
    va_end(rest);
    if (file != door || request != VIOC_SYSCALL || call->syscall != AFSCALL_PIOCTL)
        return real(file, request, call);
    return answer((const char *)call->param1, call->param2, (struct ViceIoctl *)call->param3);
}
